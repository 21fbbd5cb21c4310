"""What Mozilla's HTTP Observatory says of the headers: the site over https, with nginx in front, as it is operated.

The scanner comes from npm (@mdn/mdn-http-observatory) into data/trust, once, without the two lists that it would fetch
from elsewhere: of sites that browsers know to be https only, and of top-level domains. It asks ports 80 and 443 of a
name, so this needs root; the name leads to an address of the loopback that nobody else uses, by a few lines given to
Node. The certificate is made for this run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme

from bench._load import figure, site
from events import migrations
from events.db import Database

PACKAGE, FOLDER = "@mdn/mdn-http-observatory", Path(__file__).parents[1] / "data/trust/observatory"
NAME, ADDRESS = "events.example.org", "127.0.0.77"
LEAST = 125
# Node's own module of names: one is known.
NAMES = """
const dns = require("node:dns");
dns.lookup = (name, options, done) => {
  done = done || options;
  if (name !== "%s") return done(new Error("There is one name here, and not " + name));
  return options.all ? done(null, [{address: "%s", family: 4}]) : done(null, "%s", 4);
};
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 100; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen {address}:80; return 301 https://{name}$request_uri; }}
  server {{
    listen {address}:443 ssl;
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass {site};
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--details", action="store_true", help="each of its tests")


def run(options: argparse.Namespace) -> bool:
    scanner = installed()
    with TemporaryDirectory(dir="/tmp") as folder, served(Path(folder)) as authority:
        found = scanned(scanner, Path(folder), authority)
    if "scan" not in found:
        sys.exit(f"The scanner says: {found.get('error', found)}")
    for name, test in found["tests"].items():
        if options.details or not test["pass"]:
            print(f"  {name}: {test['result']} ({test['scoreModifier']:+})")
    grade, score = found["scan"]["grade"], found["scan"]["score"]
    return figure(f"HTTP Observatory, grade {grade}", str(score), f">= {LEAST}", score >= LEAST)


def installed() -> Path:
    """The scanner's program. Scripts of its packages are not run: they compile what it does not need here."""
    program = FOLDER / "node_modules" / PACKAGE / "src/scan.js"
    if not program.exists():
        if shutil.which("npm") is None:
            sys.exit("npm is missing, which brings the scanner. Install Node and npm, and start again.")
        print("Installing the scanner …", file=sys.stderr)
        FOLDER.mkdir(parents=True, exist_ok=True)
        line = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]
        done = subprocess.run(line, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(done.stdout)
        for name, nothing in {"hsts-preload": "{}", "tld-list": "[]"}.items():
            (program.parents[1] / f"conf/{name}.json").write_text(nothing)
    return program


@contextmanager
def served(folder: Path) -> Iterator[Path]:
    """The site and nginx in front of it; yields the certificate of whoever vouches for it."""
    url = f"sqlite:///{folder}/site.db"
    database = Database(url, size=1)
    migrations.upgrade(database)
    database.dispose()
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "chain.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    named = f"https://{NAME}"
    with site(
        folder / "data", url, BRANCHLINE_BASE_URL=named, BRANCHLINE_TRUSTED_PROXIES="127.0.0.1"
    ) as address:
        configuration = folder / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, address=ADDRESS, name=NAME, site=address))
        with subprocess.Popen(["nginx", "-c", str(configuration)], stderr=subprocess.PIPE) as nginx:
            try:
                time.sleep(1)
                if nginx.poll() is not None:
                    sys.exit(f"nginx does not run: {nginx.stderr.read().decode() if nginx.stderr else ''}")
                yield folder / "authority.pem"
            finally:
                nginx.terminate()


def scanned(scanner: Path, folder: Path, authority: Path) -> dict[str, Any]:
    names = folder / "names.cjs"
    names.write_text(NAMES % (NAME, ADDRESS, ADDRESS))
    done = subprocess.run(
        ["node", "--require", str(names), str(scanner), NAME],
        env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(authority)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if not done.stdout.strip():
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
