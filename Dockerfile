# The gateway. Packages are installed and compiled in the first stage and copied into the last ones, which hold no build tools of ours.
#   docker build -t gatewayz/gateway .                   the gateway
#   docker build -t gatewayz/demo --target demo .        with the demo's upstream and traffic (compose/compose.demo.yaml)
# Needs no BuildKit.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/gatewayz
COPY requirements/runtime.txt requirements.txt
# Wheels only: nothing is compiled from C, so that no compiler is needed.
RUN python -m venv --without-pip venv \
 && python -m pip --python venv/bin/python install --quiet --require-hashes --only-binary=:all: --no-compile -r requirements.txt \
 && rm requirements.txt
COPY otel otel
COPY app app
COPY console console
# What is compiled here is found at run time, where the user may not write. With a prefix Python looks nowhere else: the standard library's
# modules must be there too, and importing the server compiles those that it uses.
ENV PYTHONPYCACHEPREFIX=/opt/gatewayz/pycache
RUN venv/bin/python -m compileall -q venv/lib app console otel \
 && venv/bin/python -c "import app.cli.main, app.process.serve, http.client"

FROM ${PYTHON_IMAGE} AS runtime
LABEL org.opencontainers.image.title="Gatewayz Observability" \
      org.opencontainers.image.description="An LLM gateway that can be observed from its first request." \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 gatewayz \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/gatewayz --shell /usr/sbin/nologin gatewayz \
 && mkdir -p /etc/gatewayz /var/lib/gatewayz \
 && chown gatewayz:gatewayz /var/lib/gatewayz \
 && chmod 0750 /var/lib/gatewayz
COPY --from=packages /opt/gatewayz /opt/gatewayz
ENV PATH=/opt/gatewayz/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPYCACHEPREFIX=/opt/gatewayz/pycache \
    PYTHONUNBUFFERED=1 \
    GATEWAYZ_CONFIG=/etc/gatewayz/gatewayz.toml
WORKDIR /opt/gatewayz
USER 10001:10001

FROM runtime AS demo
COPY demo demo
CMD ["python", "-m", "demo.upstream.scripted_upstream", "--host", "0.0.0.0", "--port", "8001"]

FROM runtime AS gateway
# A named volume takes its owner from here.
VOLUME ["/var/lib/gatewayz"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=3); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
# Host and port of the configuration file are for a process on a host; in a container these are fixed. Beyond loopback the monitoring
# endpoints are closed, unless the configuration names a token (monitoring.token_env) or says monitoring.open = true.
CMD ["python", "-m", "app", "serve", "--host", "0.0.0.0", "--port", "8000"]
