#include <pybind11/stl.h>

#include "bind.h"
#include "organ/organ.h"

namespace py = pybind11;

namespace organ::python {

void bind_completion(py::module_& module) {
  py::class_<Score>(module, "Score")
      .def_readonly("log_probabilities", &Score::log_probabilities)
      .def_readonly("margins", &Score::margins);
  py::class_<Completion>(module, "Completion")
      .def_property_readonly("text", [](const Completion& c) { return py::bytes(c.text); })
      .def_readonly("token_ids", &Completion::token_ids)
      .def_readonly("margins", &Completion::margins)
      .def_readonly("finish_reason", &Completion::finish_reason)
      .def_readonly("accepted_draft_tokens", &Completion::accepted_draft_tokens)
      .def_readonly("prompt_tokens", &Completion::prompt_tokens)
      .def_readonly("draft_score", &Completion::draft_score);
}

}  // namespace organ::python
