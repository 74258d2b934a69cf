#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "organ/error.h"

namespace organ {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const auto fail = [&](const char* what) -> void {
    throw PackError("pack " + path + ": " + what + ": " + std::strerror(errno));
  };
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail("cannot open");
  struct stat info{};
  if (::fstat(file.fd, &info) != 0) fail("cannot stat");
  if (!S_ISREG(info.st_mode)) throw PackError("pack " + path + ": not a regular file");
  if (info.st_size == 0) throw PackError("pack " + path + ": the file is empty");
  size_ = static_cast<size_t>(info.st_size);
  // MAP_PRIVATE: later writes of others to the file may or may not show, so a pack must be replaced by rename,
  // which is how every writer of ours does it.
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (map == MAP_FAILED) fail("cannot map");
  ::madvise(map, size_, MADV_WILLNEED);
  data_ = static_cast<const std::byte*>(map);
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

}  // namespace organ
