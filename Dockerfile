# The server and its page: docker build -t entsemble . && docker run -p 8765:8765 -v entsemble:/data \
#   -e ENTSEMBLE_SERVER_KEY=... entsemble
# Models are downloaded into /data on first use; the pool is kept there too.
FROM python:3.12-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --constraint constraints.txt --wheel-dir /wheels '.[embedded,serve]'

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 entsemble \
    && install --directory --owner entsemble --mode 700 /data
# The wheels of the first stage are the only source, so versions are those of constraints.txt.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'entsemble[embedded,serve]'
USER 1000
ENV ENTSEMBLE_CACHE=/data/cache \
    ENTSEMBLE_POOL=/data/pool.jsonl \
    ENTSEMBLE_EXPERTS=/data/experts
VOLUME /data
EXPOSE 8765
HEALTHCHECK --start-period=5m CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/healthz')"]
# Listening on all addresses needs a key: set ENTSEMBLE_SERVER_KEY.
ENTRYPOINT ["entsemble", "serve", "--host", "0.0.0.0", "--port", "8765"]
CMD ["--labels", "person,organisation,location"]
