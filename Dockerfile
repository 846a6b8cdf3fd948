# ecrsim in a container: docker build -t ecrsim . && docker run -p 5100:5100 -v ecrsim:/data ecrsim
#
# The registry names itself localhost:5100, which is right for a port published as 5100. Every setting has a variable:
# -e ECRSIM_REGISTRY_HOST=registry.test:8080.

ARG PYTHON=3.13

# All dependencies come as wheels, so nothing is compiled and the build stage is the same small image.
FROM python:${PYTHON}-slim AS build
WORKDIR /src
# pip works on the environment from outside, so that the image does not carry a second one.
ENV PIP_PYTHON=/opt/ecrsim/bin/python PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --without-pip /opt/ecrsim
# The dependencies first, read from the one place where they stand, so that a change of the source installs only ecrsim.
COPY setup.cfg ./
# PostgreSQL's driver among them: several containers over one database are what images are for.
RUN python -c "import configparser as c; p = c.ConfigParser(); p.read('setup.cfg'); \
print(p['options']['install_requires'], p['options.extras_require']['postgresql'])" \
        > requirements.txt \
    && pip install -r requirements.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY ecrsim ecrsim
RUN pip install .

FROM python:${PYTHON}-slim
COPY --from=build /opt/ecrsim /opt/ecrsim
# Owned before the VOLUME line, so that a new volume belongs to the user as well. A numeric USER satisfies runAsNonRoot.
RUN useradd --system --uid 10001 --user-group --home-dir /data --no-create-home ecrsim \
    && install --directory --mode=0700 --owner=ecrsim --group=ecrsim /data
USER 10001:10001
WORKDIR /data
# Variables rather than options of the command, so that `docker exec NAME ecrsim gc` and a command of one's own,
# `docker run ecrsim ecrsim serve --account 123456789012`, have the same data and are reached from outside as well.
ENV ECRSIM_HOST=0.0.0.0 ECRSIM_DATA_DIR=/data PATH=/opt/ecrsim/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 5100
# It reads the same variables as the server: set ECRSIM_PORT, and not the option --port of a command of one's own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["ecrsim", "wait", "--timeout", "2"]
CMD ["ecrsim", "serve"]
