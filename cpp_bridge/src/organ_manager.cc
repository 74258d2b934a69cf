#include "organ/organ_manager.h"

#include <utility>

#include "organ/error.h"
#include "sha256.h"

namespace organ {

void OrganManager::load(const std::string& name, const std::string& path, const LoadOptions& options) {
  // Loading and hashing take seconds and happen outside the lock: requests go on.
  Entry fresh{Organ::load(path, options), path, {}};
  fresh.sha256 = sha256_hex(fresh.organ->pack_bytes());
  // Destroyed after the lock is gone: unmapping a pack may be slow.
  Entry retired;
  const std::lock_guard<std::mutex> lock(mutex_);
  Slot& slot = slots_[name];
  retired = std::exchange(slot.previous, std::exchange(slot.current, std::move(fresh)));
}

void OrganManager::revert(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Slot& found = slot(name);
  if (!found.previous.organ) throw Error("organ " + name + ": there is no previous pack to go back to");
  std::swap(found.current, found.previous);
}

std::shared_ptr<Organ> OrganManager::get(const std::string& name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return const_cast<OrganManager*>(this)->slot(name).current.organ;
}

void OrganManager::unload(const std::string& name) {
  Slot retired;
  const std::lock_guard<std::mutex> lock(mutex_);
  retired = std::move(slot(name));
  slots_.erase(name);
}

std::vector<LoadedOrgan> OrganManager::loaded() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<LoadedOrgan> all;
  for (const auto& [name, slot] : slots_)
    all.push_back({name, slot.current.path, slot.current.sha256, slot.current.organ->info(), slot.previous.sha256});
  return all;
}

OrganManager::Slot& OrganManager::slot(const std::string& name) {
  const auto found = slots_.find(name);
  if (found != slots_.end()) return found->second;
  std::string names;
  for (const auto& [other, unused] : slots_) names += (names.empty() ? "" : ", ") + other;
  throw Error("organ " + name + ": not loaded; loaded are: " + (names.empty() ? "none" : names));
}

}  // namespace organ
