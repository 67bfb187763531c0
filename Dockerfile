# The command clickid, without a shell or a package manager:
#
#	docker build -t clickid .
#	docker run --rm clickid demo -once
#
# The build downloads Go modules and nothing else.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /image/clickid ./cmd/clickid \
	&& mkdir -p -m 1777 /image/tmp /image/data \
	&& mkdir -p /image/etc/ssl/certs \
	&& cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

FROM scratch
COPY --from=build /image /
USER 65532:65532
WORKDIR /data
ENTRYPOINT ["/clickid"]
