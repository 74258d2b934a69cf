// One function for each file that binds a class; module.cc calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace organ::python {

void bind_completion(pybind11::module_& module);
void bind_organ(pybind11::module_& module);
void bind_organ_manager(pybind11::module_& module);

}  // namespace organ::python
