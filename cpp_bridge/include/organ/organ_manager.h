// Named organs that can be replaced while they answer.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "organ/organ.h"

namespace organ {

// What stands behind a name.
struct LoadedOrgan {
  std::string name;
  std::string path;
  std::string pack_sha256;  // of the mapped bytes
  Info info;
  std::string previous_sha256;  // of the pack that `revert` would bring back; empty if there is none
};

// Safe for concurrent use. A switch is one pointer under a lock: a request gets the old pack or the new one, never a
// mixture, and keeps what it got until it is done.
class OrganManager {
 public:
  // Loads the pack beside the current one, then switches the name to it. The current one becomes the previous one. A
  // pack that cannot be loaded changes nothing. Throws PackError or Error.
  void load(const std::string& name, const std::string& path, const LoadOptions& options);

  // Switches back to the previous pack, which is still loaded; the two change places, so a second call undoes the first.
  // Throws Error if there is no such organ or no previous pack.
  void revert(const std::string& name);

  // The organ for one request: hold it until the request is done. Throws Error naming what is loaded.
  std::shared_ptr<Organ> get(const std::string& name) const;

  // Forgets the name. Requests in flight finish. Throws Error if there is no such organ.
  void unload(const std::string& name);

  // All organs, by name.
  std::vector<LoadedOrgan> loaded() const;

 private:
  struct Entry {
    std::shared_ptr<Organ> organ;
    std::string path, sha256;
  };
  struct Slot {
    Entry current, previous;
  };

  Slot& slot(const std::string& name);

  mutable std::mutex mutex_;
  std::map<std::string, Slot, std::less<>> slots_;
};

}  // namespace organ
