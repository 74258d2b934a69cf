// Run under ThreadSanitizer by cpp_bridge/check.sh: the point of the manager is what happens between threads.
#include "organ/organ_manager.h"

#include <atomic>
#include <set>
#include <thread>

#include "check.h"
#include "organ/error.h"
#include "tiny_pack.h"

namespace organ {
namespace {

std::string pack(uint32_t seed) {
  tiny::Shape shape;
  shape.seed = seed;
  shape.layers = 1;
  return tiny::builder(shape).pack();
}

std::string answer(Organ& organ) {
  return organ.generate({{.prompt = "abc", .draft = {}, .max_new_tokens = 8, .raw = true}}, {}).front().text;
}

TEST(load_switch_and_revert) {
  const tiny::TempFile first(pack(1)), second(pack(2));
  OrganManager manager;
  manager.load("code", first.path(), {.threads = 1});
  const std::string one = answer(*manager.get("code"));
  CHECK_THROWS(Error, manager.revert("code"), "no previous");

  manager.load("code", second.path(), {.threads = 1});
  const std::string two = answer(*manager.get("code"));
  CHECK(one != two);
  const LoadedOrgan now = manager.loaded().front();
  CHECK_EQ(now.name, "code");
  CHECK_EQ(now.path, second.path());
  CHECK_EQ(now.pack_sha256.size(), size_t{64});
  CHECK(now.previous_sha256 != now.pack_sha256 && now.previous_sha256.size() == 64);

  manager.revert("code");
  CHECK_EQ(answer(*manager.get("code")), one);
  CHECK_EQ(manager.loaded().front().pack_sha256, now.previous_sha256);
  manager.revert("code");
  CHECK_EQ(answer(*manager.get("code")), two);
}

TEST(a_pack_that_cannot_be_loaded_changes_nothing) {
  const tiny::TempFile good(pack(1)), bad("not a pack");
  OrganManager manager;
  CHECK_THROWS(PackError, manager.load("code", bad.path(), {}), "header");
  CHECK(manager.loaded().empty());
  manager.load("code", good.path(), {.threads = 1});
  const auto before = manager.loaded().front();
  CHECK_THROWS(PackError, manager.load("code", bad.path(), {}), "header");
  CHECK_EQ(manager.loaded().front().pack_sha256, before.pack_sha256);
  CHECK_THROWS(Error, manager.get("prose"), "loaded are: code");
  CHECK_THROWS(Error, manager.revert("prose"), "prose");
}

TEST(a_request_in_flight_finishes_on_its_pack) {
  const tiny::TempFile first(pack(1)), second(pack(2));
  OrganManager manager;
  manager.load("code", first.path(), {.threads = 1});
  const auto held = manager.get("code");
  const std::string before = answer(*held);
  manager.load("code", second.path(), {.threads = 1});
  manager.load("code", second.path(), {.threads = 1});  // the first is now neither current nor previous
  CHECK_EQ(answer(*held), before);
  manager.unload("code");
  CHECK_EQ(answer(*held), before);
  CHECK_THROWS(Error, manager.unload("code"), "not loaded");
}

TEST(requests_see_one_pack_or_the_other_while_it_is_switched) {
  const tiny::TempFile first(pack(1)), second(pack(2));
  OrganManager manager;
  manager.load("code", second.path(), {.threads = 1});
  manager.load("code", first.path(), {.threads = 1});
  std::set<std::string> known;
  known.insert(answer(*manager.get("code")));
  manager.revert("code");
  known.insert(answer(*manager.get("code")));

  std::atomic<bool> done{false};
  std::atomic<int> strange{0}, answered{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      while (!done.load()) {
        if (!known.contains(answer(*manager.get("code")))) strange.fetch_add(1);
        if (manager.loaded().size() != 1) strange.fetch_add(1);
        answered.fetch_add(1);
      }
    });
  for (int i = 0; i < 20; ++i) {
    if (i % 5 == 0) manager.load("code", i % 10 == 0 ? first.path() : second.path(), {.threads = 1});
    manager.revert("code");
    const int seen = answered.load();
    while (answered.load() < seen + 2) std::this_thread::yield();
  }
  done.store(true);
  for (std::thread& reader : readers) reader.join();
  CHECK_EQ(strange.load(), 0);
}

}  // namespace
}  // namespace organ

TEST_MAIN()
