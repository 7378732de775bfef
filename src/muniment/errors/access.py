"""Who may call, and what the server may be asked for."""

from muniment.errors.base import MunimentError


class Unauthorized(MunimentError):
    code = "unauthorized"
    http_status = 401
    message = "This server asks for a token and the request carried none that it knows."
    remedy = (
        "Send 'Authorization: Bearer <token>' (a browser opens /?token=<token> once); the operator finds it where the"
        " server printed at its first start."
    )


class ForbiddenOrigin(MunimentError):
    code = "forbidden_origin"
    http_status = 403
    message = "Requests with {header} '{value}' are refused."
    remedy = "Call the server by localhost, or let the operator add the name to MUNIMENT_ALLOWED_HOSTS."

    def __init__(self, header: str, value: str) -> None:
        super().__init__(header=header, value=value)


class OpsReadOnly(MunimentError):
    code = "ops_read_only"
    http_status = 405
    message = "The queue dashboard only shows: {method} {path} is refused."
    remedy = "Change jobs with `muniment jobs` or the gateway's /api/v1/jobs."

    def __init__(self, method: str, path: str) -> None:
        super().__init__(method=method, path=path)


class NotConfigured(MunimentError):
    code = "not_configured"
    http_status = 500
    message = "{setting} is not set, and {service} cannot run without it."
    remedy = "Set it, or start everything with `muniment up`, which sets it."

    def __init__(self, setting: str, service: str) -> None:
        super().__init__(setting=setting, service=service)


class TokenRequired(MunimentError):
    code = "token_required"
    http_status = 500
    message = "Refusing to listen on {host} without a token."
    remedy = "Set MUNIMENT_TOKEN or MUNIMENT_TOKEN_FILE (at least 16 characters), or listen on 127.0.0.1."

    def __init__(self, host: str) -> None:
        super().__init__(host=host)


class OpsExposed(MunimentError):
    code = "ops_exposed"
    http_status = 500
    message = "Refusing to show rq-dashboard on {host}: it asks for no token."
    remedy = "Let it listen on 127.0.0.1, or set MUNIMENT_OPS_OPEN=true where only a private network reaches it."

    def __init__(self, host: str) -> None:
        super().__init__(host=host)
