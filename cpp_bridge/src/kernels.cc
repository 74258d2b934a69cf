#include "kernels.h"

#include <string>

#include "organ/error.h"

namespace organ {
namespace {

std::vector<const Kernels*> available() {
  std::vector<const Kernels*> all;
#if ORGAN_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) all.push_back(&kAvx512Kernels);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&kAvx2Kernels);
#endif
  all.push_back(&kScalarKernels);
  return all;
}

}  // namespace

const Kernels& select_kernels(std::string_view isa) {
  const auto all = available();
  if (isa == "auto") return *all.front();
  std::string names;
  for (const Kernels* kernels : all) {
    if (isa == kernels->isa) return *kernels;
    names += std::string(names.empty() ? "" : ", ") + kernels->isa;
  }
  throw Error("isa " + std::string(isa) + ": not available on this processor, which has " + names);
}

std::vector<std::string_view> available_isas() {
  std::vector<std::string_view> names;
  for (const Kernels* kernels : available()) names.push_back(kernels->isa);
  return names;
}

}  // namespace organ
