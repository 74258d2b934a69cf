// Canonical composition (Unicode normalisation form C, https://www.unicode.org/reports/tr15/).
#pragma once

#include <string>
#include <string_view>

namespace organ {

// `text` must be valid UTF-8. Characters younger than the tables' Unicode version pass through untouched.
std::string nfc(std::string_view text);

}  // namespace organ
