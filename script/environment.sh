# Sourced by the scripts beside it: where the project is, and which Node runs it.
# shellcheck shell=bash

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
toolchain="$repository/.toolchain/node_modules/.bin"

# The project's own Node wins where bootstrap has put one. A plain `su` leaves root without the sbin folders, where
# debootstrap and ip live.
machine_path=${PATH//"$toolchain:"/}
case :$machine_path: in *:/usr/sbin:*) ;; *) machine_path+=:/usr/sbin:/sbin ;; esac
PATH=$machine_path
if [[ -x $toolchain/node ]]; then PATH="$toolchain:$PATH"; fi
export PATH

# Starts the calling script again by sudo unless it is root already. Only the named variables go along.
# usage: become_root "$@"
become_root() {
  if ((EUID == 0)); then return; fi
  if ! command -v sudo >/dev/null; then
    echo "$0: needs root (namespaces, mounts, cgroups, apt), and there is no sudo here: run it as root" >&2
    exit 1
  fi
  local keep
  keep=$(compgen -e | grep -E '^(CI|TERM|NO_COLOR|FORCE_COLOR|UNSHARED_.*|npm_config_.*|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|(https?|no)_proxy|(HTTPS?|NO)_PROXY)$' \
    | paste -sd, -) || true
  exec sudo ${keep:+--preserve-env="$keep"} -- "$(readlink -f "$0")" "$@"
}
