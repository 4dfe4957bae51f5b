#!/bin/sh
# Builds all there is with each gcc and clang that is installed, at -O0 and -O3: warnings are errors.
set -u
cd "$(dirname "$0")/../.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
trap 'exit 1' HUP INT TERM

# The commands gcc, gcc-13, clang, clang-14 and so on, each compiler once.
compilers() {
  for folder in $(echo "$PATH" | tr : ' '); do
    for file in "$folder"/gcc "$folder"/gcc-[0-9]* "$folder"/clang "$folder"/clang-[0-9]*; do
      case ${file##*/} in gcc | clang | *-[0-9] | *-[0-9][0-9]) [ -x "$file" ] && echo "$(readlink -f "$file") $file" ;; esac
    done
  done | sort -u -k 1,1 | cut -d ' ' -f 2
}

done=
for compiler in $(compilers); do
  for level in -O0 -O3; do
    rm -rf "$build/tree"
    if ! make -s WERROR=-Werror CC="$compiler" CFLAGS="$level" BUILD="$build/tree" all host-c "$build/tree/host" \
      >"$build/log" 2>&1 </dev/null; then
      cat "$build/log"
      echo "failed: $compiler $level"
      exit 1
    fi
  done
  done="$done, ${compiler##*/} $("$compiler" -dumpversion)"
done
if [ -z "$done" ]; then
  echo "pending: compilers (there is neither gcc nor clang)"
  exit 77
fi
echo "ok: compilers: ${done#, }"
