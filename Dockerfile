# A small static image: the program, the system's roots, nothing else. It has
# no shell and runs as an ordinary user.
#
#   docker build -t sealpost .
#   docker run -v /etc/sealpost:/etc/sealpost:ro -p 25:10025 sealpost

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go generate ./directory/reader
ARG VERSION=unknown
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /out/sealpost ./cmd/sealpost
# Temporary files hold ciphertext only; the folder must exist and be writable.
RUN mkdir -m 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tmp /tmp
COPY --from=build /out/sealpost /sealpost
USER 65532:65532
EXPOSE 10025 9225
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["/sealpost", "health", "--config", "/etc/sealpost/sealpost.yaml"]
ENTRYPOINT ["/sealpost"]
CMD ["serve", "--config", "/etc/sealpost/sealpost.yaml"]
