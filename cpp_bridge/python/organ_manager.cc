#include "organ/organ_manager.h"

#include <pybind11/stl.h>

#include "bind.h"

namespace py = pybind11;

namespace organ::python {

// Every call gives the GIL up: loading takes seconds, unmapping may be slow, and a lock that is waited for with the
// GIL in hand could belong to a thread that waits for the GIL.
void bind_organ_manager(py::module_& module) {
  using Release = py::call_guard<py::gil_scoped_release>;
  py::class_<LoadedOrgan>(module, "LoadedOrgan")
      .def_readonly("name", &LoadedOrgan::name)
      .def_readonly("path", &LoadedOrgan::path)
      .def_readonly("pack_sha256", &LoadedOrgan::pack_sha256)
      .def_readonly("previous_sha256", &LoadedOrgan::previous_sha256);
  py::class_<OrganManager>(module, "OrganManager")
      .def(py::init<>())
      .def(
          "load",
          [](OrganManager& manager, const std::string& name, const std::string& path, int threads,
             const std::string& isa, int prefill_chunk) {
            manager.load(name, path, {.threads = threads, .isa = isa, .prefill_chunk = prefill_chunk});
          },
          py::arg("name"), py::arg("path"), py::arg("threads"), py::arg("isa"), py::arg("prefill_chunk"), Release())
      .def("revert", &OrganManager::revert, py::arg("name"), Release())
      .def("get", &OrganManager::get, py::arg("name"), Release())
      .def("unload", &OrganManager::unload, py::arg("name"), Release())
      .def("loaded", &OrganManager::loaded, Release());
}

}  // namespace organ::python
