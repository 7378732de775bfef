# One image for the gateway, worker, watcher, queue dashboard and vector store; docker-compose.yml says which is which.

FROM python:3.12-slim AS dependencies
RUN python -m venv /opt/muniment
ENV PATH=/opt/muniment/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY pyproject.toml .
# from the table of pyproject.toml alone, so that this layer outlives every change of the sources
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt \
 && pip install --only-binary :all: -r requirements.txt

FROM dependencies AS wheel
RUN --mount=type=cache,target=/root/.cache/pip pip install 'hatchling>=1.27'
COPY . .
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheel .

FROM python:3.12-slim
ENV PATH=/opt/muniment/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    ANONYMIZED_TELEMETRY=False \
    HOME=/tmp \
    MUNIMENT_DATA_DIR=/data
# a new named volume takes owner and mode of the folder that it covers
RUN groupadd --gid 10001 muniment \
 && useradd --uid 10001 --gid muniment --no-create-home --home-dir /tmp --shell /usr/sbin/nologin muniment \
 && install --directory --owner=muniment --group=muniment --mode=0700 /data \
 && install --directory /sources
COPY --from=dependencies /opt/muniment /opt/muniment
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-cache-dir --no-index --no-deps /wheel/*.whl
USER 10001:10001
WORKDIR /data
CMD ["muniment", "--help"]
