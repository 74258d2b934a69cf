#!/usr/bin/env bash
# Builds and tests the C++ side four ways. Usage: cpp_bridge/check.sh BUILD_FOLDER
#   plain      warnings are errors; unit tests; the kernels' accumulators must stay in registers
#   sanitized  the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   threads    what threads share, under ThreadSanitizer
#   fuzz       each fuzzer for a short while: libFuzzer where clang has it, else the standalone mutator
set -euo pipefail

source_dir=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: cpp_bridge/check.sh BUILD_FOLDER}
fuzz_seconds=${FUZZ_SECONDS:-20}

configure() { # folder, options...
  cmake -S "$source_dir" -B "$build/$1" -G Ninja -DORGAN_WERROR=ON "${@:2}" >"$build/$1.log" || { cat "$build/$1.log"; exit 1; }
  cmake --build "$build/$1" >"$build/$1.log" || { cat "$build/$1.log"; exit 1; }
}

mkdir -p "$build"

echo "== plain"
configure plain -DORGAN_TESTS=ON
ctest --test-dir "$build/plain" --output-on-failure

echo "== accumulators in registers"
# A tile whose accumulator lies on the stack is three times slower and gives the right bits, so no test would notice.
for isa in avx2 avx512; do
  object=$(find "$build/plain" -name "kernels_$isa.cc.o")
  [ -n "$object" ] || { echo "no kernels_$isa.cc.o: not an x86-64 build, nothing to check"; continue; }
  spills=$(objdump -d -C --no-show-raw-insn "$object" | awk '/>:$/ { name = $0 } /vfmadd.*\((%rsp|%rbp)/ && name ~ /tile|panels|groups/ { print name; print }')
  [ -z "$spills" ] || { printf '%s\n' "$spills"; echo "kernels_$isa.cc: a multiply-add works on the stack"; exit 1; }
done

echo "== sanitized"
configure sanitized -DORGAN_TESTS=ON -DORGAN_SANITIZE=ON
ctest --test-dir "$build/sanitized" --output-on-failure

echo "== threads"
configure threads -DORGAN_TESTS=ON -DORGAN_TSAN=ON
ctest --test-dir "$build/threads" --output-on-failure -R 'organ_manager|organ_test|thread_pool'

echo "== fuzz"
compiler=()
if echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
  clang++ -x c++ -std=c++20 -fsanitize=fuzzer,address -o "$build/probe" - 2>/dev/null; then
  compiler=(-DCMAKE_CXX_COMPILER=clang++)
  limit=(-max_total_time="$fuzz_seconds")
else
  echo "clang++ with libFuzzer is missing: the standalone mutator runs instead, without coverage feedback"
  limit=(-runs=20000)
fi
configure fuzz -DORGAN_FUZZ=ON -DORGAN_SANITIZE=ON "${compiler[@]}"
for fuzzer in "$build"/fuzz/fuzz/*_fuzz; do
  echo "-- $(basename "$fuzzer")"
  "$fuzzer" "${limit[@]}" -max_len=2048 >"$build/fuzzer.log" 2>&1 || { tail -50 "$build/fuzzer.log"; exit 1; }
  tail -1 "$build/fuzzer.log"
done
echo "== all good"
