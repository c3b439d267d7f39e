# SPDX-License-Identifier: ISC
FROM debian:12-slim AS build
WORKDIR /src
COPY scripts/common.sh scripts/deps scripts/
RUN scripts/deps --build
COPY . .
RUN cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DRATION_TESTS=OFF \
	&& ninja -C /build rationd ration \
	&& strip /build/rationd /build/ration

FROM debian:12-slim
RUN apt-get update \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		ca-certificates libevent-core-2.1-7 libhiredis0.14 libjansson4 \
		libpcre2-8-0 libsodium23 libssl3 tzdata \
	&& rm -rf /var/lib/apt/lists/* \
	&& useradd --system --uid 7480 --no-create-home --shell /usr/sbin/nologin ration
COPY --from=build /build/rationd /build/ration /usr/bin/
COPY examples/policies/create_connect_token.json /etc/ration/policies/
USER 7480:7480
EXPOSE 7480 7481
# SIGTERM drains: for drain-timeout, 10 s. docker stop kills after 10 s; give it more, with
# docker run --stop-timeout 15.
STOPSIGNAL SIGTERM
# Ready means: not draining, and the store takes charges, or calls go ahead without it
# (docs/protocol.md, /readyz). Without HTTP on port 7480
# give another check, or --no-healthcheck.
HEALTHCHECK --interval=5s --timeout=2s --start-period=2s --retries=3 \
	CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7480 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
# Listens on loopback until told otherwise, which is right for a sidecar: containers of
# one pod share it. For others to reach it, add --listen-http 0.0.0.0:7480 and
# --token-file FILE.
ENTRYPOINT ["/usr/bin/rationd"]
CMD ["--policy", "/etc/ration/policies/create_connect_token.json"]
