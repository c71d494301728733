/* `std::format` for mlx-c under a standard library that has none (GCC before 13).
 *
 * mlx-c calls it with plain `{}` fields only, to word an error, and never includes `<format>`: so this file either
 * includes it or stands in for it. The stand-in lives in `std` because that is the name the calls use.
 */
#if defined(__cplusplus)
#include <version>
#if defined(__cpp_lib_format)
#include <format>
#else
#include <sstream>
#include <string>
#include <string_view>

namespace std {

template <typename... Values>
string format(string_view pattern, const Values&... values) {
  ostringstream text;
  auto fill = [&](const auto& value) {
    const auto field = pattern.find("{}");
    text << pattern.substr(0, field) << value;
    pattern.remove_prefix(field + 2);
  };
  (fill(values), ...);
  text << pattern;
  return text.str();
}

} // namespace std
#endif
#endif
