#!/bin/sh
# Runs specs twice as many at a time as there are processors, as they mostly wait, each file in a process of its own:
# specs.sh 'lua busted' SPECS.
# Prints a line for each file as it ends, then what failed, in full, then `N passed, N failed`.
BUSTED=$1
shift
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
export BUSTED tree

# The longest ones first: nothing is left to do beside the last.
LONG='host kafka drain_[a-z]* sink[a-z_]* cli_[a-z]* faults [a-z]*_examples install serve_[a-z]* spool_faults'
find "$@" -name '*_spec.lua' | sort >"$tree/files"
{ set -f; for name in $LONG; do grep -E "/${name}_spec\.lua$" "$tree/files"; done; cat "$tree/files"; } | awk '!seen[$0]++' |
  xargs -P "$(($(nproc) * 2))" -I FILE sh -c '
    name=$(basename "$1") && out="$tree/$name.out"
    $BUSTED "$1" >"$out"
    status=$?
    if tail -n 1 "$out" | grep -q "^[0-9]* passed, [0-9]* failed$"; then
      head -n 1 "$out"
    else
      echo "$name has ended with $status before its end"
      echo "0 passed, 1 failed" >>"$out"
    fi' sh FILE

for out in "$tree"/*.out; do sed -e 1d -e '$d' "$out"; done | cat -s
cat "$tree"/*.out | awk '/^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3 }
  END { printf "\n%d passed, %d failed\n", passed, failed; exit !passed || failed > 0 }'
