# The product's own image; which process it becomes is its argument: `gateway`, `services.user`, `dal.db.migrate`.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# What the product stands on, in an environment of its own, from the locked list.
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off
RUN python3 -m venv /opt/dousheng
COPY config/requirements.lock /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/dousheng/bin/python -m pip install --require-hashes -r /build/requirements.lock

# The product as a wheel: protoc and setuptools are needed here alone.
FROM ${PYTHON_IMAGE} AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off
WORKDIR /build
RUN python3 -m venv /opt/tools
COPY config/requirements-dev.lock ./
# Of the developers' list only what makes the wheel, in the same versions and with the same hashes.
RUN --mount=type=cache,target=/root/.cache/pip \
    awk '/^[a-z]/ { wanted = /^(grpcio|grpcio-tools|protobuf|setuptools|typing-extensions)==/ } wanted' \
        requirements-dev.lock >tools.lock \
    && /opt/tools/bin/python -m pip install --require-hashes -r tools.lock
COPY . .
RUN /opt/tools/bin/python -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. protos/*.proto \
    && /opt/tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM packages AS installed
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    /opt/dousheng/bin/python -m pip install --no-deps --no-index /wheels/*.whl \
    && /opt/dousheng/bin/python -m pip uninstall --yes setuptools pip

# What both images are, before code that changes comes in.
FROM ${PYTHON_IMAGE} AS system
ENV PATH=/opt/dousheng/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    PYTHONSAFEPATH=1 \
    DOUSHENG_CONFIG_DIR=/etc/dousheng
# Whoever it runs as may spool there; the name is for those who run it without one.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin dousheng \
    && install -d -m 1777 /var/spool/dousheng

FROM system AS media-system
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends ffmpeg

# For the video service, and for making sample videos.
FROM media-system AS media
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dousheng-media" \
      org.opencontainers.image.description="Short-video backend: what works on videos, with ffmpeg" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=installed /opt/dousheng /opt/dousheng
COPY config/*.yml /etc/dousheng/
USER 10001
ENTRYPOINT ["python", "-m"]
CMD ["services.video"]

# Everything else: gateway, services, migration and scripts.
FROM system AS app
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dousheng" \
      org.opencontainers.image.description="Short-video backend: gateway, services, migration and scripts" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=installed /opt/dousheng /opt/dousheng
COPY config/*.yml /etc/dousheng/
USER 10001
ENTRYPOINT ["python", "-m"]
CMD ["gateway"]
