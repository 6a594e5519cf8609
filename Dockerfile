# A static binary, nobody's user, one volume. Build: docker build -t lifeline . Run: docker run -p 8080:8080 -v lifeline:/var/lib/lifeline lifeline
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/lifeline ./cmd/lifeline && \
    mkdir -p /out/var/data && mkdir -m 0700 /out/var/keys

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build --chown=65532:65532 /out/var /var/lib/lifeline
COPY --from=build /out/lifeline /lifeline
ENV ZONEINFO=/zoneinfo.zip \
    LIFELINE_DATA=/var/lib/lifeline/data \
    LIFELINE_KEYS=/var/lib/lifeline/keys \
    LIFELINE_LISTEN=0.0.0.0:8080 \
    LIFELINE_OPS_LISTEN=127.0.0.1:9090
USER 65532:65532
# Data and keys: keep a copy of the keys elsewhere, a copy of the data without them is unreadable.
VOLUME /var/lib/lifeline
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["/lifeline", "serve", "--check"]
ENTRYPOINT ["/lifeline"]
CMD ["serve"]
