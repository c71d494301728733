/* A clock that mlx-rs asks for by the name Apple gives it.
 *
 * The implicit random state of mlx-rs is seeded from it. Nothing here uses that state, but every keyed random function
 * of mlx-rs names it, so the linker wants it too.
 */
#if defined(__cplusplus)
#include <chrono>
#include <cstdint>

extern "C" __attribute__((used)) inline std::uint64_t mach_approximate_time() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}
#endif
