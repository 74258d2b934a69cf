// The module `pytest_anchorgate._organ`: registers, and does nothing else. pytest_anchorgate/runtime.py is what
// users call.
#include "bind.h"
#include "organ/error.h"

namespace py = pybind11;

PYBIND11_MODULE(_organ, module) {
  module.doc() = "The compiled organ runtime. Use pytest_anchorgate.runtime.";
  // pybind11 tries the translators registered last first, so a base class comes before its derived ones.
  const auto error = py::register_exception<organ::Error>(module, "OrganError", PyExc_RuntimeError);
  const auto both = [&](PyObject* builtin) { return py::make_tuple(error, py::handle(builtin)); };
  py::register_exception<organ::PackError>(module, "PackError", both(PyExc_ValueError));
  py::register_exception<organ::TextError>(module, "TextError", both(PyExc_ValueError));
  py::register_exception<organ::NumericsError>(module, "NumericsError", error);
  py::register_exception<organ::Cancelled>(module, "Cancelled", error);
  organ::python::bind_completion(module);
  organ::python::bind_organ(module);
  organ::python::bind_organ_manager(module);
}
