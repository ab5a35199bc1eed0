"""nginx in the gateway's place: what the same attacks do to a plain reverse proxy on the same core, which only passes on.

`python -m bench.attacks.plain_proxy NGINX PORT FOLDER KEY STEADY_URL HOSTILE_URL` becomes NGINX. It has one worker. Calls of the key go to the
steady provider, those of any other to the hostile one, and without a key there is a 401. It parses no body, limits no key and measures
nothing: what it does to the p99 of another key is the least that one core, the kernel and the machine do.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/responses;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_max_temp_file_size 0;
  client_max_body_size 10m;
  large_client_header_buffers 4 64k;
  keepalive_requests 1000000;
  map_hash_bucket_size 256;
  upstream steady {{ server {steady}; keepalive 64; }}
  upstream hostile {{ server {hostile}; keepalive 512; }}
  map $http_authorization $provider {{ "Bearer {key}" steady; ~. hostile; default ""; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /health/live {{ return 200 '{{"status":"live"}}'; }}
    location /v1/ {{
      if ($provider = "") {{ return 401 '{{"error":{{"message":"no key"}}}}'; }}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://$provider;
    }}
    location / {{ return 404 '{{"error":{{"message":"not found"}}}}'; }}
  }}
}}
"""


def find_nginx() -> str | None:
    """Return nginx's path; None where it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def config_text(folder: Path, *, port: int, key: str, steady_url: str, hostile_url: str) -> str:
    """Return nginx's configuration; everything that it writes is in the folder."""
    steady, hostile = (urlsplit(url).netloc for url in (steady_url, hostile_url))
    return _CONFIG.format(folder=folder, port=port, key=key, steady=steady, hostile=hostile)


def main(arguments: Sequence[str]) -> None:
    nginx, port, name, key, steady_url, hostile_url = arguments
    path = Path(name) / "nginx.conf"
    path.write_text(config_text(Path(name), port=int(port), key=key, steady_url=steady_url, hostile_url=hostile_url))
    os.execv(nginx, [nginx, "-p", name, "-c", str(path)])  # noqa: S606  the benchmark's own baseline


if __name__ == "__main__":
    main(sys.argv[1:])
