#!/bin/sh
# Looks at the site that `make docs` has made: its links, and in Chromium its accessibility, its search and its keys.
# Exits with 77 where npm or Chromium cannot be had.
set -u
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
tools=$PWD/build/audit

pending() {
  echo "pending: $1"
  exit 77
}

make -s docs || exit 1
"${LUA:-lua5.4}" docs/site/check.lua "$build/docs" || exit 1
command -v npm >/dev/null || .ci/deps nodejs npm || pending "npm is not there"
.ci/deps chromium || pending "Chromium is not there"
[ -d "$tools/node_modules/puppeteer-core" ] ||
  npm install --silent --no-save --prefix "$tools" axe-core@4.14.1 puppeteer-core@24.43.1 ||
  pending "npm cannot fetch axe-core and puppeteer-core"
NODE_PATH=$tools/node_modules node docs/site/audit.js "$build/docs"
