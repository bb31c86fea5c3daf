#!/bin/sh
# Waits for the certificate that Orthanc's container makes on its first start, then runs nginx.
set -eu
name=${HABITUS_SERVER_NAME:-localhost}
case "$name" in
  *[!A-Za-z0-9.-]*) echo "viewer: found a HABITUS_SERVER_NAME that is no host name; wanted letters, digits, dots and dashes: set it in .env" >&2; exit 2 ;;
esac
# The first process of a container heeds no signal that it has not asked for.
trap 'exit 0' TERM QUIT INT
if [ ! -s /var/lib/habitus-certificate/habitus.key ]; then
  echo "viewer: waiting for the certificate that orthanc makes; if it does not come: docker compose logs orthanc" >&2
fi
until [ -s /var/lib/habitus-certificate/habitus.key ]; do sleep 0.3; done
resolver=$(awk '$1 == "nameserver" && $2 !~ /:/ { print $2; exit }' /etc/resolv.conf)
sed -e "s|@NAME@|$name|" -e "s|@RESOLVER@|${resolver:-127.0.0.11}|" /etc/habitus/nginx.conf.template > /tmp/nginx.conf
exec nginx -c /tmp/nginx.conf
