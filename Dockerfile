FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY requirements/ requirements/
RUN python -m venv /opt/branchline \
    && /opt/branchline/bin/pip install --require-hashes --only-binary=:all: -r requirements/run.txt \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary=:all: -r requirements/build.txt
COPY . .
RUN /opt/build/bin/hatchling build --target wheel --directory /wheel \
    && /opt/branchline/bin/pip install --no-index --no-deps /wheel/*.whl

FROM python:3.13-slim
# pg_dump, for `branchline backup` on PostgreSQL: of the server's version or a newer one.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/branchline /opt/branchline
# Time zone rules come from the locked tzdata package, hence the empty PYTHONTZPATH.
ENV PATH=/opt/branchline/bin:$PATH PYTHONTZPATH= PYTHONUNBUFFERED=1 BRANCHLINE_DATA_DIR=/data
RUN install -d -o 10001 -g 10001 -m 0750 /data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["branchline", "healthcheck"]
CMD ["branchline", "serve", "--host", "0.0.0.0"]
