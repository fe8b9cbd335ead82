# Portico, built from this folder:  docker build -t portico .
# Run with the configuration in ./config/portico.toml, on SQLite in a volume:
#   docker run --read-only --cap-drop ALL --stop-timeout 45 -p 127.0.0.1:8080:8080 -v ./config:/etc/portico:ro -v portico-data:/var/lib/portico \
#       -e PORTICO_DATABASE_URL=sqlite:/var/lib/portico/portico.db portico
# The same for any other command:  docker run ... portico check

# A tenth faster at logins, and half an hour to build, on two processors at the least (docs/performance.md):
#   docker build --build-arg PROGRAM=profiled -t portico .

# The stage below that the program is from: build, or profiled. BuildKit, Docker's builder since 23.0, builds no other.
ARG PROGRAM=build

FROM rust:1.95.0-bookworm AS sources
# The image's own toolchain is the one that rust-toolchain.toml names; without the file rustup adds nothing to it.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
# For the volume: an image without a shell cannot make it.
RUN mkdir /data

FROM sources AS build
# The dependencies are a layer of their own: an empty crate with our manifest compiles them, and only a change of the lock file does it again.
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin portico \
    && rm -r src
COPY migrations migrations
COPY templates templates
COPY src src
# The time of a file decides what cargo builds again, and a checkout may be older than the empty crate.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin portico \
    && mv target/release/portico .

FROM sources AS profiled
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/*
COPY migrations migrations
COPY templates templates
COPY src src
COPY benches benches
COPY scripts/profiled scripts/with-postgres scripts/
RUN scripts/profiled && mv target/profiled/*/release/portico .

FROM ${PROGRAM} AS program

FROM debian:bookworm-slim
# Certificate authorities, for the upstreams' TLS.
COPY --from=program /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=program /src/portico /usr/local/bin/portico
COPY --from=program --chown=65532:65532 /data /var/lib/portico
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/portico/

# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
WORKDIR /var/lib/portico
VOLUME /var/lib/portico
EXPOSE 8080
ENV PORTICO_CONFIG=/etc/portico/portico.toml
# The allocator gives back at once what is free: 39 MiB at the most under load in place of 46 (docs/performance.md).
ENV MIMALLOC_PURGE_DELAY=0
# The loopback address of a container is reached from nowhere else. Health stays on it: the check below is inside.
ENV PORTICO_LISTEN=0.0.0.0:8080
# The default of server.internal_listen; with the address given, no secret of the configuration has to be read every time.
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s CMD ["portico", "health", "--address", "127.0.0.1:9464"]
ENTRYPOINT ["portico"]
CMD ["serve"]
