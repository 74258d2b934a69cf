// The whole runtime on small random packs: results must not depend on instruction set, threads, batch, chunks or
// drafts, to the last bit.
#include "organ/organ.h"

#include <cstring>
#include <thread>

#include "check.h"
#include "kernels.h"
#include "organ/error.h"
#include "sha256.h"
#include "tiny_pack.h"

namespace organ {
namespace {

std::vector<int32_t> ids_of(int count, int seed) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back((i * 37 + seed * 11 + i * i) % 256);
  return ids;
}

std::vector<float> logits_of(Organ& organ, const std::vector<int32_t>& ids) {
  std::vector<float> out(ids.size() * static_cast<size_t>(organ.info().vocab_size));
  organ.logits(ids, out);
  return out;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

bool same(const Completion& a, const Completion& b) {
  return a.token_ids == b.token_ids && same(a.margins, b.margins) && a.text == b.text &&
         a.finish_reason == b.finish_reason;
}

const std::vector<tiny::Shape>& shapes() {
  static const std::vector<tiny::Shape> all = [] {
    tiny::Shape qwen;
    tiny::Shape llama{.architecture = "llama",
                      .hidden = 48,
                      .intermediate = 80,
                      .layers = 3,
                      .heads = 3,
                      .kv_heads = 1,
                      .head_dim = 16,
                      .vocab = 272,
                      .tied = false,
                      .bias = false,
                      .seed = 8};
    return std::vector<tiny::Shape>{qwen, llama};
  }();
  return all;
}

TEST(logits_have_the_same_bits_whatever_computes_them) {
  for (const tiny::Shape& shape : shapes()) {
    const tiny::TempFile file(tiny::builder(shape).pack());
    const auto ids = ids_of(70, 3);
    const auto expected =
        logits_of(*Organ::load(file.path(), {.threads = 1, .isa = "scalar", .prefill_chunk = 1000}), ids);
    for (const std::string_view isa : available_isas())
      for (const int threads : {1, 2, 3})
        for (const int chunk : {1, 7, 64, 1000})
          CHECK(same(expected,
                     logits_of(*Organ::load(file.path(),
                                            {.threads = threads, .isa = std::string(isa), .prefill_chunk = chunk}),
                               ids)));
  }
}

// The bits of fma-k/1, once and for all: a machine, compiler or change that gives another digest computes something else.
TEST(logits_have_the_golden_digest) {
  const std::string golden[] = {"4bee30759edb2bec2bdcd507b075f2cc6d1c908f958cae3f9c906b0ef4bf98f0",
                                "35913a07d52f80d6dbd6479269eee98d63052a7e7e5bc136c98786ba99fc4ddd"};
  for (size_t i = 0; i < shapes().size(); ++i) {
    const tiny::TempFile file(tiny::builder(shapes()[i]).pack());
    const auto logits = logits_of(*Organ::load(file.path(), {}), ids_of(70, 3));
    CHECK_EQ(sha256_hex(std::as_bytes(std::span(logits))), golden[i]);
  }
}

std::vector<Request> requests(int count) {
  std::vector<Request> all;
  for (int i = 0; i < count; ++i)
    all.push_back({.prompt = "prompt " + std::string(static_cast<size_t>(i % 5) * 9, 'x') + std::to_string(i),
                   .draft = {},
                   .max_new_tokens = 5 + i % 13,
                   .raw = false});
  return all;
}

TEST(completions_do_not_depend_on_the_batch_its_order_or_chunks) {
  for (const tiny::Shape& shape : shapes()) {
    const tiny::TempFile file(tiny::builder(shape).pack());
    const auto organ = Organ::load(file.path(), {.threads = 2, .isa = "auto", .prefill_chunk = 64});
    auto all = requests(19);
    const auto batch = organ->generate(all, {});
    for (size_t i = 0; i < all.size(); ++i) CHECK(same(organ->generate({all[i]}, {}).front(), batch[i]));
    std::reverse(all.begin(), all.end());
    for (const std::string_view isa : available_isas()) {
      for (const int chunk : {1, 7, 1000}) {
        const auto other = Organ::load(file.path(), {.threads = 3, .isa = std::string(isa), .prefill_chunk = chunk});
        const auto reversed = other->generate(all, {});
        for (size_t i = 0; i < all.size(); ++i) CHECK(same(reversed[all.size() - 1 - i], batch[i]));
      }
    }
  }
}

// Greedy decoding is by definition the argmax of the logits that teacher forcing gives at each position.
TEST(decoding_agrees_with_teacher_forcing) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {});
  const Request request{.prompt = "abcab", .draft = {}, .max_new_tokens = 12, .raw = true};
  const Completion completion = organ->generate({request}, {}).front();
  const auto prompt = organ->tokenize("abcab");
  CHECK_EQ(completion.prompt_tokens, 3);
  const Score score = organ->score(prompt, completion.token_ids);
  CHECK(same(score.margins, completion.margins));
  for (const double value : score.log_probabilities) CHECK(value < 0.0);
}

TEST(drafts_change_nothing_but_the_count_of_accepted_tokens) {
  for (const int chunk : {3, 64}) {
    const tiny::TempFile file(tiny::builder().pack());
    const auto organ = Organ::load(file.path(), {.threads = 2, .isa = "auto", .prefill_chunk = chunk});
    auto all = requests(6);
    const auto plain = organ->generate(all, {});
    for (size_t i = 0; i < all.size(); ++i) all[i].draft = plain[i].token_ids;
    all[1].draft[2] = (all[1].draft[2] + 1) % 256;   // wrong in the middle
    all[2].draft[0] = (all[2].draft[0] + 1) % 256;   // wrong at once
    all[3].draft.resize(1);                          // short
    all[4].draft.insert(all[4].draft.end(), 40, 5);  // longer than the limit
    const auto drafted = organ->generate(all, {});
    for (size_t i = 0; i < all.size(); ++i) CHECK(same(plain[i], drafted[i]));
    CHECK_EQ(drafted[0].accepted_draft_tokens, static_cast<int>(plain[0].token_ids.size()) - 1);
    CHECK_EQ(drafted[1].accepted_draft_tokens, 2);
    CHECK_EQ(drafted[2].accepted_draft_tokens, 0);
    CHECK_EQ(drafted[3].accepted_draft_tokens, 1);
  }
}

TEST(a_draft_is_rated_as_score_would_rate_it) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {.threads = 2, .isa = "auto", .prefill_chunk = 5});
  const auto prompt = organ->tokenize("abcab");
  const std::vector<int32_t> draft{12, 200, 3, 3, 99, 256};
  const auto answers = organ->generate({{.prompt = "abcab", .draft = draft, .max_new_tokens = 20, .raw = true},
                                        {.prompt = "abx", .draft = {}, .max_new_tokens = 4, .raw = true},
                                        {.prompt = "abcab", .draft = draft, .max_new_tokens = 4, .raw = true}},
                                       {});
  const Score expected = organ->score(prompt, draft);
  CHECK(answers[0].draft_score.log_probabilities == expected.log_probabilities);
  CHECK(same(answers[0].draft_score.margins, expected.margins));
  CHECK(answers[1].draft_score.margins.empty());
  CHECK_EQ(answers[2].draft_score.margins.size(), size_t{4});
}

TEST(flush_to_zero_in_the_callers_environment_changes_no_bit) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {.threads = 1});
  const auto expected = logits_of(*organ, ids_of(20, 1));
#if defined(__SSE__)
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);  // FTZ and DAZ, as a library linked with -ffast-math leaves them
  const auto got = logits_of(*organ, ids_of(20, 1));
  CHECK_EQ(__builtin_ia32_stmxcsr(), before | 0x8040);
  __builtin_ia32_ldmxcsr(before);
  CHECK(same(expected, got));
#endif
}

TEST(a_nan_weight_is_an_error_and_not_a_token) {
  tiny::Builder b = tiny::builder();
  std::string bytes = b.pack();
  const size_t data = bytes.size() - b.data().size();
  const size_t norm = data + 304 * 64 * 2;  // model.norm.weight follows the embedding, 300 rows padded to 304
  const uint32_t nan = 0x7fc00000;
  std::memcpy(bytes.data() + norm, &nan, 4);
  const tiny::TempFile file(bytes);
  const auto organ = Organ::load(file.path(), {});
  CHECK_THROWS(NumericsError, organ->generate(requests(1), {}), "NaN");
}

TEST(arguments_are_checked_and_named) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {});
  std::vector<float> out(300);
  const std::vector<int32_t> outside{300}, negative{-1}, none, long_ids(513, 1), one{1};
  CHECK_THROWS(TextError, organ->logits(outside, out), "token id 300");
  CHECK_THROWS(TextError, organ->logits(negative, out), "ids[0]");
  CHECK_THROWS(TextError, organ->logits(none, out), "no tokens");
  CHECK_THROWS(TextError, organ->logits(long_ids, out), "at most 512");
  CHECK_THROWS(TextError, organ->score(none, one), "prompt_ids");
  CHECK_THROWS(TextError, organ->generate({{.prompt = "\xff", .draft = {}, .max_new_tokens = 1, .raw = true}}, {}),
               "prompts[0]");
  CHECK_THROWS(TextError, organ->generate({{.prompt = "a", .draft = {999}, .max_new_tokens = 1, .raw = true}}, {}),
               "draft[0]");
  CHECK_THROWS(Error, Organ::load(file.path(), {.threads = -1}), "threads");
  CHECK_THROWS(Error, Organ::load(file.path(), {.isa = "mmx"}), "mmx");
  CHECK_THROWS(Error, Organ::load(file.path(), {.prefill_chunk = 0}), "prefill_chunk");
  CHECK_THROWS(PackError, Organ::load(file.path() + ".missing", {}), "cannot open");
  CHECK_THROWS(PackError, Organ::load("/tmp", {}), "regular file");
  CHECK_EQ(organ->generate({}, {}).size(), size_t{0});
  CHECK_EQ(organ->generate({{.prompt = "a", .draft = {}, .max_new_tokens = 0, .raw = true}}, {}).front().finish_reason,
           "length");
}

TEST(an_id_of_the_padded_vocabulary_has_no_bytes) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {});
  const std::vector<int32_t> ids{'x', 299, 'y'}, outside{300};
  CHECK_EQ(organ->detokenize(ids), "xy");
  CHECK_THROWS(TextError, organ->detokenize(outside), "token id 300");
}

TEST(a_completion_stops_where_the_context_ends) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {});
  const Completion completion =
      organ->generate({{.prompt = std::string(500, 'q'), .draft = {}, .max_new_tokens = 100, .raw = true}}, {}).front();
  CHECK_EQ(completion.token_ids.size(), size_t{13});
  CHECK_EQ(completion.finish_reason, "length");
}

TEST(cancel_ends_a_running_call) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {});
  int calls = 0;
  const auto cancel_soon = [&](const Progress&) {
    if (++calls == 2) std::thread([&] { organ->cancel(); }).join();
  };
  CHECK_THROWS(Cancelled, organ->generate(requests(4), cancel_soon), "cancelled");
  CHECK_EQ(organ->generate(requests(1), {}).size(), size_t{1});
}

TEST(calls_from_several_threads_wait_for_each_other) {
  const tiny::TempFile file(tiny::builder().pack());
  const auto organ = Organ::load(file.path(), {.threads = 2});
  const auto expected = organ->generate(requests(3), {});
  std::vector<std::thread> threads;
  std::vector<std::vector<Completion>> got(3);
  for (size_t i = 0; i < got.size(); ++i) threads.emplace_back([&, i] { got[i] = organ->generate(requests(3), {}); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& completions : got)
    for (size_t i = 0; i < completions.size(); ++i) CHECK(same(completions[i], expected[i]));
}

}  // namespace
}  // namespace organ

TEST_MAIN()
