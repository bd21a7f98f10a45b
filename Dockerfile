# The embedded service as a container. Data and keys are in /data: give it a volume.
#
#   docker build -t smclient .
#   docker run -p 4584:4584 -v smclient:/data smclient --tls --allow-host localhost
#
# docs/serve.md says how a network of containers does without TLS, and what to give it.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY smclient ./smclient
COPY backends ./backends
COPY integrations ./integrations
RUN python -m venv /opt/smclient \
    && /opt/smclient/bin/pip install --no-cache-dir '.[server,postgresql]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home smclient \
    && install -d -m 0700 -o smclient -g smclient /data
COPY --from=build /opt/smclient /opt/smclient
ENV PATH=/opt/smclient/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_STATE_HOME=/data
USER smclient
VOLUME /data
EXPOSE 4584
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD \
    ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 4584), 2).close()"]
ENTRYPOINT ["smclient", "serve", "--host", "0.0.0.0", "--store", "embedded:////data/secrets.db"]
CMD ["--tls"]
