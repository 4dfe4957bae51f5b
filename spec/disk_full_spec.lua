-- A spool on a disk that is really full: a small one of its own, which is there for one process only.
local shell = require "support.shell"

local MOUNTS <const> = {
  tmpfs = "mount -t tmpfs -o size=16m tmpfs $d/mounted",
  ext4 = "truncate -s 20M $d/image && mkfs.ext4 -q $d/image && mount -o loop $d/image $d/mounted",
}

describe("a spool on a small disk", function()
  for kind, mount in pairs(MOUNTS) do
    it("waits while it is full, says why, and goes on when there is room: " .. kind, function()
      shell.with_directory(function(directory)
        local alone = ("mkdir -p %s/mounted; d=%s unshare -m sh -c '%s && "):format(directory, directory, mount)
        local _, status = shell.run(alone .. "true' 2>/dev/null")
        if status ~= 0 then return pending("no file system can be mounted here: " .. kind) end
        local output
        output, status = shell.run(("%sexec timeout 60 env %s spec/scripts/disk_is_full.lua $d/mounted'"):format(alone,
          shell.LUA))
        assert.equal(0, status, output)
        assert.matches("ok\n$", output)
      end)
    end)
  end
end)
