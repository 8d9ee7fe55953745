# One image for both services: the bot and the dashboard's API (docker-compose.yml says which command each runs).

# First stage: everything that is needed to install, and nothing of which stays but /venv.
FROM python:3.12-slim AS build
WORKDIR /build
# config.yaml, rules.yaml and .env.example are what fsm/templates links to, for `fsm init`.
COPY setup.cfg pyproject.toml requirements.lock constraints.txt README.md LICENSE config.yaml rules.yaml .env.example ./
COPY fsm fsm
COPY rules rules
COPY indicators indicators
COPY exchange exchange
COPY store store
COPY web web
# compose.cluster.yml installs extras.
ARG EXTRAS=""
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock \
 && /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && if [ -n "$EXTRAS" ]; then \
      /venv/bin/pip install --no-cache-dir --no-build-isolation --constraint constraints.txt ".$EXTRAS"; \
    fi

FROM python:3.12-slim
# Not root, and nothing of the image is writable but /data/var, which holds the database, and /backups.
RUN useradd --system --uid 10001 --home-dir /data bot && mkdir -p /data/var /backups && chown -R bot /data/var /backups
COPY --from=build /venv /venv
COPY config.yaml rules.yaml /data/
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER bot
WORKDIR /data
EXPOSE 8080
# For the bot; the API has its own in docker-compose.yml.
HEALTHCHECK --interval=60s --timeout=45s --start-period=120s CMD ["python", "-m", "fsm", "status", "--protecting", "--end-after", "3m"]
CMD ["python", "-m", "fsm.cli.held", "run"]
