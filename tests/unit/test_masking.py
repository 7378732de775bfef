"""What of a text may be stored: everything but its secrets, on the same lines as before.

Secrets are put together at run time, so that this file holds none.
"""

import base64
import json
import os
import random
import re
import string
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.masking import Masked, mask

LETTERS, DIGITS, UPPER, HEX = string.ascii_letters, string.digits, string.ascii_uppercase, "0123456789abcdef"
ALNUM = LETTERS + DIGITS
URL_SAFE = ALNUM + "_-"


def drawn(alphabet: str, length: int, seed: int = 7) -> str:
    """Random text, the same in every run."""
    source = random.Random(f"{alphabet}{length}{seed}")
    return "".join(source.choice(alphabet) for _ in range(length))


def encoded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def armoured(label: str, lines: int = 12) -> str:
    """A private key without its opening and closing line."""
    body = "\n".join(drawn(ALNUM + "+/", 64, seed) for seed in range(lines))
    return f"-----BEGIN {label}-----\n{body}\n{drawn(ALNUM, 20)}==\n-----END {label}-----"


PASSWORD = "s3cr" + "3tPw9xK"
UUID = "-".join(drawn(HEX, length) for length in (8, 4, 4, 4, 12))

# name, what stands before the secret, the secret, what stands after it
SECRETS: dict[str, tuple[str, str, str]] = {
    "aws access key": ('id = "', "AKIA" + drawn(UPPER + "234567", 16), '"'),
    "aws secret access key": ("aws_secret_access_key = ", drawn(ALNUM + "/+", 40), ""),
    "gcp api key": ('key: "', "AIza" + drawn(URL_SAFE, 35), '"'),
    "azure storage account key": (
        "DefaultEndpointsProtocol=https;AccountName=archive;AccountKey=",
        base64.b64encode(random.Random(3).randbytes(64)).decode(),
        ";EndpointSuffix=core.windows.net",
    ),
    "azure client secret": ('"', drawn(ALNUM, 3) + "8Q~" + drawn(URL_SAFE, 34), '"'),
    "azure sas signature": ("https://a.blob.core.windows.net/c?sp=r&sig=", drawn(ALNUM, 43) + "%3D", ""),
    "github pat": ('token = "', "ghp_" + drawn(ALNUM, 36), '"'),
    "github oauth": ('x = "', "gho_" + drawn(ALNUM, 36), '"'),
    "github app token": ('x = "', "ghs_" + drawn(ALNUM, 36), '"'),
    "github fine grained pat": ('x = "', "github_pat_" + drawn(ALNUM, 22) + "_" + drawn(ALNUM, 59), '"'),
    "gitlab pat": ("clone with ", "glpat-" + drawn(URL_SAFE, 20), " now"),
    "slack bot token": ('x = "', f"xoxb-{drawn(DIGITS, 12)}-{drawn(DIGITS, 12, 2)}-{drawn(ALNUM, 24)}", '"'),
    "stripe access token": ('x = "', "sk_live_" + drawn(ALNUM, 24), '"'),
    "npm access token": ("//registry.npmjs.org/:_authToken=", "npm_" + drawn(ALNUM, 36), ""),
    "pypi upload token": ("password = ", "pypi-AgEIcHlwaS5vcmc" + drawn(URL_SAFE, 150), ""),
    "openai api key": ('x = "', f"sk-proj-{drawn(URL_SAFE, 74)}T3BlbkFJ{drawn(URL_SAFE, 74, 2)}", '"'),
    "anthropic api key": ('x = "', "sk-ant-api03-" + drawn(URL_SAFE, 93) + "AA", '"'),
    "jwt": (
        "cookie: ",
        f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded({'sub': drawn(DIGITS, 10)})}.{drawn(URL_SAFE, 43)}",
        "; path=/",
    ),
    "sendgrid": ('x = "', f"SG.{drawn(URL_SAFE, 22)}.{drawn(URL_SAFE, 43)}", '"'),
    "twilio api key": ('x = "', "SK" + drawn(HEX, 32), '"'),
    "discord bot token": ('x = "', f"MTA{drawn(ALNUM, 21)}.{drawn(ALNUM, 6)}.{drawn(URL_SAFE, 38)}", '"'),
    "telegram bot api token": ('x = "', f"{drawn(DIGITS[1:], 10)}:AA{drawn(URL_SAFE, 33)}", '"'),
    "connection password": ("DATABASE = 'postgres://app:", PASSWORD, "@db.internal:5432/app'"),
    "basic auth": ('{"auths": {"r.io": {"auth": "', base64.b64encode(f"bob:{PASSWORD}".encode()).decode(), '"}}}'),
    "bearer token": ('headers = {"Authorization": "Bearer ', drawn(ALNUM, 44), '"}'),
}

ASSIGNED: list[tuple[str, str, str, str]] = [
    ("a.py", 'password = "', "hT7$" + "kq9!Lm2z", '"'),
    ("a.yaml", "api_key: ", drawn(ALNUM, 32), " # rotate in May"),
    ("a.json", '{"client_secret": "', drawn(ALNUM, 36), '", "kind": 1}'),
    ("a.toml", "auth_token = '", drawn(HEX, 40), "'"),
    ("deploy.sh", "export DB_PASS=", PASSWORD + "4", ""),
    ("settings.py", "url = 'jdbc:mysql://db/app?user=app&password=", PASSWORD, "'"),
    ("Web.config", 'connectionString="Server=db;User Id=sa;Password=', PASSWORD, ';"'),
    (".env.example", "SECRET_KEY=", drawn(ALNUM, 50), ""),
    ("README.md", "set `TWILIO_AUTH_TOKEN=", drawn(HEX, 32), "`"),
]

SPEAKING_STAYS = [
    ("a.py", 'password = "password"'),
    ("a.py", 'password = "xxxxxxxxxxxx"'),
    ("a.py", 'token = "<your-token-here>"'),
    ("a.py", 'password = os.environ["DB_PASSWORD"]'),
    ("a.py", "api_key=settings.OPENAI_API_KEY2,"),
    ("a.py", "token = generate_token(user_id=1, length=32)"),
    ("a.py", 'tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased-v2")'),
    ("a.py", 'secret_name = "prod-db-credentials-2024a"'),
    ("a.go", 'if token := r.Header.Get("X-Auth-Token2"); token == "" {'),
    ("a.go", "SecretName: v1beta1.DefaultSecretName2,"),
    ("a.yaml", "password: ${DB_PASSWORD}"),
    ("a.yaml", 'password: "{{ .Values.db.password1 }}"'),
    ("a.yaml", "token_url: https://auth.example.com/oauth2/v2/token"),
    ("a.yaml", "secretKeyRef: {name: db-credentials-v2, key: password}"),
    ("a.yaml", "passwordFile: /run/secrets/db_password_v2"),
    ("a.md", "postgres://user:password@localhost:5432/db"),
    ("a.md", "postgres://postgres:postgres@localhost/db"),
    ("a.md", "https://${USER}:${TOKEN}@github.com/acme/app.git"),
    ("a.md", "mail bob@example.com, see http://host:8080/a@b"),
    (".npmrc", "//registry.npmjs.org/:_authToken=${NPM_TOKEN}"),
    ("package-lock.json", f'"integrity": "sha512-{base64.b64encode(random.Random(1).randbytes(64)).decode()}"'),
    ("go.sum", f"github.com/pkg/errors v0.9.1 h1:{base64.b64encode(random.Random(2).randbytes(32)).decode()}"),
    ("a.txt", f"commit {drawn(HEX, 40)}"),
    ("a.txt", f"sha256:{drawn(HEX, 64)}"),
    ("a.py", f'request_id = "{UUID}"'),
    ("a.py", f'token_id = "{UUID}"'),
    ("a.md", "AKIA" + "IOSFODNN7" + "EXAMPLE is what the manual prints"),
    ("a.py", 'if "-----BEGIN RSA PRIVATE KEY-----" in text or "-----END RSA PRIVATE KEY-----" in text:'),
    ("a.py", 'PEM = "-----BEGIN PRIVATE KEY-----" + body + "-----END PRIVATE KEY-----"'),
    ("a.pem", f"-----BEGIN CERTIFICATE-----\n{drawn(ALNUM, 64)}\n{drawn(ALNUM, 64, 2)}\n-----END CERTIFICATE-----"),
    (
        ".env",
        "# the port\nPORT=8000 # public\nDEBUG=true\nEMPTY=\nLEVEL=info\nURL=http://localhost:3000/api\nNAME=${OTHER}",
    ),
    (".env.example", "SECRET_KEY=changeme\nDB_PASSWORD=your-password\nAPI_KEY="),
]


def marker(kind: str) -> str:
    return f"[masked:{kind.replace(' ', '-')}]"


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("path", ["src/app.py", "vendor/lib/app.go", "config.yaml", "node_modules/x/package-lock.json"])
def test_a_known_secret_goes_and_all_around_it_stays(kind: str, path: str) -> None:
    before, secret, after = SECRETS[kind]
    text = "é first line\r\n{}\nlast line ÿ"
    assert mask(path, text.format(before + secret + after)) == Masked(
        text.format(before + marker(kind) + after), {kind: 1}
    )


@pytest.mark.parametrize(("path", "before", "secret", "after"), ASSIGNED)
def test_a_value_whose_name_says_that_it_is_secret_goes(path: str, before: str, secret: str, after: str) -> None:
    assert mask(path, before + secret + after) == Masked(
        before + marker("assigned secret") + after, {"assigned secret": 1}
    )


@pytest.mark.parametrize(("path", "text"), SPEAKING_STAYS)
def test_what_only_looks_like_a_secret_stays(path: str, text: str) -> None:
    assert mask(path, text) == Masked(text, {})


def test_every_place_of_a_secret_is_masked() -> None:
    secret = SECRETS["github pat"][1]
    assert mask("a.py", f"{secret} {secret}\n{secret}").found == {"github pat": 3}


def test_a_comment_of_another_scanner_keeps_no_secret() -> None:
    text = f'x = "{SECRETS["github pat"][1]}"  # gitleaks:allow kingfisher:ignore'
    assert mask("a.py", text).found == {"github pat": 1}


def test_a_webhook_goes_with_its_secret_part() -> None:
    slack = f"https://hooks.slack.com/services/T{drawn(UPPER, 8)}/B{drawn(UPPER, 8, 2)}/{drawn(ALNUM, 24)}"
    discord = f"https://discord.com/api/webhooks/{drawn(DIGITS, 18)}/{drawn(URL_SAFE, 68)}"
    masked = mask("a.py", f"{slack}\n{discord}\n")
    assert masked.found == {"slack webhook url": 1, "discord webhook": 1}
    assert drawn(ALNUM, 24) not in masked.text
    assert drawn(URL_SAFE, 68) not in masked.text


def test_a_kubernetes_secret_loses_its_values_and_keeps_its_keys() -> None:
    first, second = (base64.b64encode(value.encode()).decode() for value in (PASSWORD, PASSWORD + "2"))
    text = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  user: {first}\n  other: {second}\n"
    masked = mask("deploy/secret.yaml", text)
    assert masked.text == text.replace(first, marker("kubernetes secret yaml")).replace(
        second, marker("kubernetes secret yaml")
    )


LABELS = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"]


@pytest.mark.parametrize("label", [*LABELS, "DSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
def test_a_private_key_keeps_its_first_and_last_line_and_its_length(label: str) -> None:
    text = f"before\n{armoured(label)}\nafter"
    masked = mask("id_rsa", text)
    assert masked.found == {"private key": 1}
    lines = masked.text.split("\n")
    assert len(lines) == len(text.split("\n"))
    assert lines[:3] == ["before", f"-----BEGIN {label}-----", marker("private key")]
    assert set(lines[3:-2]) == {""}
    assert lines[-2:] == [f"-----END {label}-----", "after"]


def test_an_encrypted_key_goes_with_its_headers() -> None:
    head = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC," + drawn("0123456789ABCDEF", 32) + "\n\n"
    key = armoured("RSA PRIVATE KEY").replace("KEY-----\n", "KEY-----\n" + head, 1)
    masked = mask("a.pem", key)
    assert "AES-128" not in masked.text
    assert masked.text.count("\n") == key.count("\n")


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda key: json.dumps({"private_key": key, "type": "service_account"}), id="in JSON"),
        pytest.param(lambda key: "\n".join(f'  "{line}\\n" +' for line in key.split("\n")), id="in string literals"),
        pytest.param(lambda key: "\n".join(f"# {line}" for line in key.split("\n")), id="in comments"),
        pytest.param(lambda key: "\n".join(f"    {line}" for line in key.split("\n")), id="indented"),
        pytest.param(lambda key: key.replace("\n", "\r\n"), id="with CRLF"),
        pytest.param(lambda key: key.rsplit("\n", 2)[0] + "\nfunc next() {", id="without its end"),
    ],
)
def test_a_key_within_source_code_goes_too(written: Callable[[str], str]) -> None:
    text = f"x = 1\n{written(armoured('PRIVATE KEY'))}\ny = 2"
    masked = mask("a.go", text)
    assert masked.found == {"private key": 1}
    assert not any(drawn(ALNUM + "+/", 64, seed)[:20] in masked.text for seed in range(12))
    assert masked.text.count("\n") == text.count("\n")
    assert masked.text.startswith("x = 1\n")
    assert masked.text.endswith("\ny = 2")
    assert ("func next() {" in masked.text) == ("func next() {" in text)


def test_the_text_between_two_keys_stays() -> None:
    key = armoured("EC PRIVATE KEY")
    masked = mask("a_test.go", f"{key}\nfunc between() {{}}\n{key}")
    assert masked.found == {"private key": 2}
    assert "func between() {}" in masked.text


@pytest.mark.parametrize("name", [".env", "app/.env.local", "prod.env", ".envrc", ".ENV"])
def test_every_value_of_an_env_file_goes(name: str) -> None:
    text = 'export A=hello\nB="two\nlines" # why\n# OLD=short\nC=\'x y\'\r\nD="open\nE=caf\u00e9 # note\nPORT=80\n'
    value = marker("env value")
    assert mask(name, text).text == (
        f"export A={value}\nB=\"{value}\n\" # why\n# OLD={value}\nC='{value}'\r\nD={value}\nE={value}\nPORT=80\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeffA=short\n", "\ufeffA={}\n"),
        ("A: short\n# Note: a sentence\n", "A: {}\n# Note: a sentence\n"),
        ("A=`two\nlines`\nB=on\n", "A=`{}\n`\nB=on\n"),
    ],
)
def test_what_else_is_read_as_an_env_file_is_masked_too(text: str, expected: str) -> None:
    assert mask(".env", text).text == expected.format(marker("env value"))


@pytest.mark.parametrize("label", ["RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PRIVATE KEY"])
def test_a_private_key_in_base64_goes_and_a_certificate_stays(label: str) -> None:
    key, certificate = (base64.b64encode(armoured(what).encode()).decode() for what in (label, "CERTIFICATE"))
    text = f"    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
    assert mask("config", text).text == text.replace(key, marker("encoded private key"))


def test_the_key_of_a_tunnel_goes() -> None:
    key = base64.b64encode(random.Random(5).randbytes(32)).decode()
    assert mask("wg0.conf", f"[Interface]\nPrivateKey = {key}\n").found == {"assigned secret": 1}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (".netrc", "machine git.internal login bob password {}"),
        (".pgpass", "db.internal:5432:app:bob:{}"),
        (".npmrc", "//registry.npmjs.org/:_authToken={}"),
        (".pypirc", "[pypi]\nusername = bob\npassword = {}"),
    ],
)
def test_a_file_made_for_passwords_loses_them(path: str, line: str) -> None:
    for value in ("short", UUID):
        assert mask(path, line.format(value)) == Masked(line.format(marker("password")), {"password": 1})


def test_threads_may_mask_at_once() -> None:
    before, secret, after = SECRETS["github pat"]
    results: list[dict[str, int]] = []
    threads = [
        threading.Thread(
            target=lambda: results.extend(dict(mask("a", before + secret + after).found) for _ in range(50))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert results == [{"github pat": 1}] * 200


def test_a_forked_process_masks_with_the_rules_of_its_parent() -> None:
    before, secret, after = SECRETS["github pat"]
    mask("a", "")
    child = os.fork()
    if child == 0:
        os._exit(0 if mask("a", before + secret + after).found == {"github pat": 1} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


LINE_BREAK = re.compile("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
PIECES = st.one_of(
    st.text(max_size=40),
    st.sampled_from([before + secret + after for before, secret, after in SECRETS.values()]),
    st.sampled_from([secret for _, secret, _ in SECRETS.values()]),
    st.sampled_from(
        ["\n", "\r\n", "\u2028", "\x85", "\0", "\ud800", '"', "'", "\\", "=", "[masked:x]", "A=", "export B=", "#"]
    ),
    st.sampled_from([armoured("PRIVATE KEY", 3), "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"]),
    st.sampled_from(["password=", 'secret: "', "kind: Secret\ndata:\n  a: ", "http://u:"]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PIECES, max_size=12).map("".join),
    st.sampled_from(["a.py", ".env", "a.yaml", ".netrc", ".pgpass", ".npmrc"]),
)
def test_any_text_keeps_its_lines_and_is_masked_once_for_all(text: str, path: str) -> None:
    masked = mask(path, text)
    assert LINE_BREAK.findall(masked.text) == LINE_BREAK.findall(text)
    assert mask(path, masked.text) == Masked(masked.text, {})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SECRETS)), st.text(st.characters(exclude_characters="[")), st.text())
def test_a_secret_on_its_own_line_goes_whatever_stands_on_the_others(kind: str, above: str, below: str) -> None:
    before, secret, after = SECRETS[kind]
    assert secret not in mask("a.txt", f"{above}\n{before}{secret}{after}\n{below}").text


LONG = 400_000


STALLING = [
    *("x", " ", "\n", "=", "\\", "\0", "\ud800"),
    *("A= ", 'A="\\"\n', "password=", "secret: ", "curl -u ", "http://a:b", "eyJ", "[masked:x]"),
    *("kind: Secret\ndata:\n", "-----BEGIN PRIVATE KEY-----", '{"private_key": "-----BEGIN PRIVATE KEY-----'),
]


@pytest.mark.parametrize("path", ["a.txt", ".env", ".npmrc", ".netrc", ".pgpass", "a.yaml"])
@pytest.mark.parametrize("unit", STALLING)
def test_a_long_text_made_to_stall_the_rules_comes_to_an_end(unit: str, path: str) -> None:
    text = (unit * LONG)[:LONG]
    assert mask(path, text).text.count("\n") == text.count("\n")


@pytest.mark.parametrize("filling", ["\\", "/", "Version: ", "\n", "A" * 64 + "\n", '"', "-"])
def test_a_key_without_an_end_comes_to_an_end(filling: str) -> None:
    text = "-----BEGIN PRIVATE KEY-----" + (filling * LONG)[:LONG]
    assert mask("a.pem", text).text.count("\n") == text.count("\n")
