#include "organ/organ.h"

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <chrono>

#include "bind.h"

namespace py = pybind11;

namespace organ::python {
namespace {

using Ids = std::vector<int32_t>;

// Runs without the GIL; every 50 ms takes it to let Ctrl-C through and to tell the caller how far it is.
class Ticker {
 public:
  explicit Ticker(py::object callback) : callback_(std::move(callback)) {}

  void operator()(const Progress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50) && progress.finished != progress.total) return;
    last_ = now;
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!callback_.is_none())
      callback_(progress.finished, progress.total, progress.prompt_tokens, progress.generated_tokens);
  }

 private:
  py::object callback_;
  std::chrono::steady_clock::time_point last_{};
};

// Text crosses as bytes: Python's str may hold lone surrogates, and a completion may end inside a character.
std::vector<Completion> generate(Organ& organ, const std::vector<py::bytes>& prompts, const std::vector<int>& limits,
                                 const std::vector<Ids>& drafts, bool raw, py::object progress) {
  std::vector<Request> requests;
  for (size_t i = 0; i < prompts.size(); ++i)
    requests.push_back({.prompt = prompts[i], .draft = drafts.at(i), .max_new_tokens = limits.at(i), .raw = raw});
  Ticker ticker(std::move(progress));
  const py::gil_scoped_release release;
  return organ.generate(requests, std::ref(ticker));
}

py::array_t<float> logits(Organ& organ, const Ids& ids) {
  const auto vocab = static_cast<size_t>(organ.info().vocab_size);
  py::array_t<float> out({ids.size(), vocab});
  const std::span<float> data(out.mutable_data(), ids.size() * vocab);
  const py::gil_scoped_release release;
  organ.logits(ids, data);
  return out;
}

py::dict info(const Organ& organ) {
  const Info& i = organ.info();
  py::dict out;
  out["architecture"] = i.architecture;
  out["numerics"] = i.numerics;
  out["layout"] = i.layout;
  out["isa"] = i.isa;
  out["identity"] = i.identity;
  out["threads"] = i.threads;
  out["parameters"] = i.parameters;
  out["vocab_size"] = i.vocab_size;
  out["max_positions"] = i.max_positions;
  return out;
}

}  // namespace

void bind_organ(py::module_& module) {
  // Shared: a manager and the request that was given an organ both hold it.
  py::class_<Organ, std::shared_ptr<Organ>>(module, "Organ")
      .def(py::init([](const std::string& path, int threads, const std::string& isa, int prefill_chunk) {
             const py::gil_scoped_release release;
             return std::shared_ptr<Organ>(
                 Organ::load(path, {.threads = threads, .isa = isa, .prefill_chunk = prefill_chunk}));
           }),
           py::arg("path"), py::arg("threads"), py::arg("isa"), py::arg("prefill_chunk"))
      .def("info", &info)
      // Keeps the organ alive as long as the view: the bytes are its mapping.
      .def(
          "pack_bytes",
          [](const Organ& organ) {
            const auto bytes = organ.pack_bytes();
            return py::memoryview::from_memory(bytes.data(), static_cast<py::ssize_t>(bytes.size()));
          },
          py::keep_alive<0, 1>())
      .def("tokenize",
           [](const Organ& organ, const std::string& utf8) {
             const py::gil_scoped_release release;
             return organ.tokenize(utf8);
           })
      .def("detokenize", [](const Organ& organ, const Ids& ids) { return py::bytes(organ.detokenize(ids)); })
      .def("generate", &generate, py::arg("prompts"), py::arg("limits"), py::arg("drafts"), py::arg("raw"),
           py::arg("progress"))
      .def("logits", &logits)
      .def("score",
           [](Organ& organ, const Ids& prompt, const Ids& completion) {
             const py::gil_scoped_release release;
             return organ.score(prompt, completion);
           })
      .def("cancel", &Organ::cancel);
}

}  // namespace organ::python
