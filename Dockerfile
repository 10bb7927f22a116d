# One image for all roles; the first argument chooses: docker run … lloom executor --bootstrap-nodes …
# Each role runs with exactly the permissions of roles/host/manifests/<role>.json.

FROM node:22-slim AS runtime
# The npm package brings Deno's binary for this platform.
RUN npm install --global --ignore-scripts deno@2.9.6 \
  && cp /usr/local/lib/node_modules/deno/node_modules/@deno/linux-*/deno /usr/local/bin/deno-binary

FROM debian:12-slim
COPY --from=runtime /usr/local/bin/deno-binary /usr/local/bin/deno

RUN useradd --create-home --uid 10001 lloom \
  && install --directory --owner=lloom --mode=0700 /data /deno /opt/lloom /opt/roles
USER 10001
WORKDIR /opt/lloom
COPY --chown=10001 . .

# Variables that the executor may read API keys from, with spaces between.
ARG READABLE_VARIABLES="OPENAI_API_KEY"
ENV DENO_DIR=/deno DENO_NO_UPDATE_CHECK=1 LLOOM_DATA_DIR=/data PATH=/opt/roles/bin:/usr/bin:/bin:/usr/local/bin
# Everything the roles and their workers import is fetched now, and no more at run time.
RUN deno install --frozen --entrypoint mod.ts roles/*/main.ts workers/*/*_task.ts \
  && for role in client executor validator faucet; do \
    deno task install-role "$role" --root /opt/roles --data-dir /data --api-key-env $READABLE_VARIABLES; \
  done

VOLUME /data
# The validator's, the executor's and the faucet's default ports.
EXPOSE 9000 9001 3030
# The shell is replaced by the role, which so receives the signal to stop.
ENTRYPOINT ["sh", "-c", "exec \"lloom-$0\" \"$@\""]
CMD ["validator"]
