#!/bin/sh
# Installs the programs that the benchmark compares Postern with (servers from Debian, as root, and Node packages into
# this folder), and what counts instructions. No server is started. What cannot be installed is left out of a run, and
# the report says so.
set -eu
cd "$(dirname "$0")"

npm ci --ignore-scripts --no-audit --no-fund

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "nginx, Caddy, Postfix and Dovecot: install them as your system does, or run this as root on Debian" >&2
  exit 0
fi

# While this stands, invoke-rc.d starts nothing; one of the machine's own is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
apt-get update -qq
for packages in \
  'nginx-light libnginx-mod-http-lua lua-nginx-redis lua-cjson' \
  'caddy' \
  'postfix dovecot-core' \
  'qemu-user gcc libc6-dev'; do
  # shellcheck disable=SC2086 # one word for each package
  apt-get install -y -qq --no-install-recommends $packages || echo "not installed: $packages" >&2
done
