# What both steps of an image's build say to pip, and how they compile; read with `.`.
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1

# Certificates to trust while building come as a secret, so that nothing of them stays.
if [ -s /run/secrets/pip-cert ]; then export PIP_CERT=/run/secrets/pip-cert; fi

# Nothing can be compiled later, on a read-only root. One process and a fixed hash seed: the same bytes each time.
compile() {
  PYTHONHASHSEED=0 /opt/touge/bin/python -m compileall -q --invalidation-mode unchecked-hash "$@"
}
