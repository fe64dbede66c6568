# Two images of one program. The default target is the last one, `cuda`; it runs on the CPU where no GPU is.
#
#   docker build --target cpu -t mcvn:cpu .
#   docker build -t mcvn:cuda .
#
# Both run as a numeric user on a read-only root: docs/containers.md.

ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG CPU_IMAGE=debian:12.12-slim
# The CUDA release of scripts/cuda and docs/gpu.md; `runtime` has cuBLAS, cuRAND and NVRTC, the driver comes from the host.
ARG CUDA_IMAGE=nvidia/cuda:13.0.2-runtime-ubuntu24.04


# Dependencies compile against an empty program, in a layer that only Cargo.toml and Cargo.lock can outdate. That is
# all that a recipe tool would do for a single package, so none is installed.
FROM ${RUST_IMAGE} AS empty
WORKDIR /build
# Function names stay, for the backtrace of a bug report; line tables are 60 MB.
ENV CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=debuginfo
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs

FROM empty AS cpu-build
RUN cargo build --release --locked
COPY src src
# cargo goes by modification times: the program must be newer than the empty one.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked

# nvcc from NVIDIA's wheels, a hundredth of the toolkit's image, and libraries that are opened at the first call.
FROM empty AS cuda-toolkit
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY scripts/cuda scripts/cuda
RUN bash scripts/cuda/setup_cuda.sh /opt/cuda .

FROM cuda-toolkit AS cuda-build
RUN . /opt/cuda/env.sh && cargo build --release --locked --features cuda
COPY src src
RUN . /opt/cuda/env.sh && touch src/main.rs src/lib.rs && cargo build --release --locked --features cuda


# What both images hold beside the program.
FROM ${RUST_IMAGE} AS files
COPY models /files/models
COPY LICENSE THIRD-PARTY.md /files/usr/share/doc/mcvn/
# A volume that is made from the image takes this owner over.
RUN install -d -o 10001 -g 10001 /files/var/lib/mcvn /files/var/lib/mcvn/models /files/var/lib/mcvn/state \
    /files/var/lib/mcvn/cuda-cache


FROM ${CPU_IMAGE} AS cpu
LABEL org.opencontainers.image.title="mcvn" \
    org.opencontainers.image.description="Alloy property prediction over HTTP" \
    org.opencontainers.image.licenses="MIT"
COPY --from=files /files/ /
COPY --from=cpu-build /build/target/release/mcvn /usr/local/bin/mcvn
ENV MCVN_LISTEN=0.0.0.0:8080 \
    MCVN_MODELS_DIR=/models,/var/lib/mcvn/models \
    MCVN_STATE_DIR=/var/lib/mcvn/state \
    MCVN_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/mcvn
VOLUME /var/lib/mcvn
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["mcvn", "healthcheck"]
ENTRYPOINT ["mcvn"]
CMD ["serve"]


FROM ${CUDA_IMAGE} AS cuda
LABEL org.opencontainers.image.title="mcvn" \
    org.opencontainers.image.description="Alloy property prediction over HTTP, with CUDA" \
    org.opencontainers.image.licenses="MIT"
COPY --from=files /files/ /
COPY --from=cuda-build /build/target/release/mcvn /usr/local/bin/mcvn
# The driver compiles the kernels at the first start, and keeps them here.
ENV MCVN_LISTEN=0.0.0.0:8080 \
    MCVN_MODELS_DIR=/models,/var/lib/mcvn/models \
    MCVN_STATE_DIR=/var/lib/mcvn/state \
    MCVN_LOG_FORMAT=json \
    CUDA_CACHE_PATH=/var/lib/mcvn/cuda-cache
USER 10001:10001
WORKDIR /var/lib/mcvn
VOLUME /var/lib/mcvn
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 CMD ["mcvn", "healthcheck"]
ENTRYPOINT ["mcvn"]
CMD ["serve"]
