# One image for the web process, the workers and beat: docker-compose.yml gives each its command.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    VAR_DIR=/var/lib/boneage \
    STATIC_ROOT=/portal/staticfiles
WORKDIR /portal

COPY requirements.txt .
RUN pip install -r requirements.txt
# GPU=1 adds NVIDIA's libraries, for the image of a GPU worker.
ARG GPU=""
RUN if [ -n "$GPU" ]; then pip install "tensorflow[and-cuda]==$(sed -n 's/^tensorflow==//p' requirements.txt)"; fi

COPY . .
# 101 is also the number of the nginx image's user: the proxy can read the private files, which only their owner may.
RUN useradd --system --uid 101 --home-dir "$VAR_DIR" portal \
    && SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
       python manage.py collectstatic --no-input \
    && mkdir -p "$VAR_DIR/private" \
    && chown -R portal "$VAR_DIR"

USER portal
EXPOSE 8000
CMD ["gunicorn", "boneage_portal.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--threads", "8", \
     "--timeout", "120", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
