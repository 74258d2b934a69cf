// The whole test framework: registration, three checks, one main. Written here because no package registry that
// `pip install` reaches carries a C++ test library, and the C++ tests must build on a machine that has only pip.
#pragma once

#include <cstdio>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

inline void fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  ++failures();
}

template <class A, class B>
void equal(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return;
  std::ostringstream message;
  message << text << " differ";
  if constexpr (requires { message << a << b; }) message << ": " << a << " against " << b;
  fail(file, line, message.str());
}

inline int run_all() {
  for (const Case& test : cases()) {
    const int before = failures();
    try {
      test.run();
    } catch (const std::exception& error) {
      fail(test.name, 0, std::string("uncaught: ") + error.what());
    }
    std::printf("%s %s\n", failures() == before ? "ok  " : "FAIL", test.name);
  }
  std::printf("%zu tests, %d failed checks\n", cases().size(), failures());
  return failures() == 0 && !cases().empty() ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                                  \
  static void test_##name();                                        \
  static const check::Register register_##name{#name, test_##name}; \
  static void test_##name()

#define CHECK(condition)                                           \
  do {                                                             \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_EQ(a, b) check::equal((a), (b), #a " and " #b, __FILE__, __LINE__)

// `substring` must be in the message: an error that does not name the field at fault is a defect.
#define CHECK_THROWS(type, expression, substring)                                                                 \
  do {                                                                                                            \
    try {                                                                                                         \
      (void)(expression);                                                                                         \
      check::fail(__FILE__, __LINE__, #expression " did not throw");                                              \
    } catch (const type& error) {                                                                                 \
      if (std::string(error.what()).find(substring) == std::string::npos)                                         \
        check::fail(__FILE__, __LINE__, std::string("message without \"") + (substring) + "\": " + error.what()); \
    }                                                                                                             \
  } while (false)

#define TEST_MAIN() \
  int main() { return check::run_all(); }
