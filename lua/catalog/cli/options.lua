--- The one table of what the program understands. Parsing, `--help`, the man page and the completion of shells are
-- made from it. An option has a `name`; where it takes a value `value` (how that is shown) and `kind` (that of
-- `catalog.cli.values`); and where it applies `short`, `choices`, `required`, `instead` (another option that does as
-- well), `many`, `default`, `least`, `most`, and `completes` (`files`, `folders`, or `datasets`: the names that
-- `catalog datasets` has shown).
-- @module catalog.cli.options
local limits = require "catalog.base.limits"

local options = {}

options.SUMMARY = "Gets data into Adobe Experience Platform."

--- Understood before a command and after it.
options.GLOBAL = {
  { name = "help", short = "h", help = "Show this, or how a command is used." },
  { name = "version", help = "Show the version." },
  { name = "json", help = "Print tables as JSON." },
  { name = "quiet", short = "q", help = "Print no progress and no notes; of a result its id alone, or its status." },
  { name = "verbose", short = "v", help = "Show each exchange with the service, without secrets." },
  { name = "sandbox", value = "NAME", help = "The sandbox, instead of AEP_SANDBOX." },
  { name = "proxy", value = "URL", kind = "proxy", help = "The proxy, instead of https_proxy; it has no password." },
  { name = "ca-file", value = "FILE", completes = "files", help = "The authorities, as PEM certificates." },
}

options.ENVIRONMENT = {
  { "AEP_ORG", "the organisation" },
  { "AEP_API_KEY", "the API key" },
  { "AEP_ACCESS_TOKEN", "the token, or instead of it:" },
  { "AEP_CLIENT_SECRET, AEP_SCOPES", "with which tokens are fetched" },
  { "AEP_ACCESS_TOKEN_FILE, AEP_CLIENT_SECRET_FILE", "the same in files, which may change" },
  { "AEP_SANDBOX", "the sandbox, where it is not prod" },
  { "AEP_BASE_URL, AEP_IMS_URL", "the service, where it is not Adobe's" },
  { "https_proxy, NO_PROXY", "the proxy, and what is reached without it" },
  { "SSL_CERT_FILE, SSL_CERT_DIR", "the authorities" },
  { "AEP_LOG=1", "shows each exchange, as --verbose does" },
}

options.EXIT_CODES = {
  { "0", "done" }, { "1", "failed" }, { "2", "usage" }, { "3", "the batch failed or rows were refused" },
  { "75", "the same command may succeed later" }, { "129, 130, 143", "ended by SIGHUP, Ctrl-C, SIGTERM" },
}

local PARTIAL <const> = {
  name = "partial-ingestion", value = "PERCENT", kind = "percent", help = "The percentage of rows that may be bad.",
}

local DATASET_NAME <const> = {
  name = "dataset-name", value = "NAME", completes = "datasets", help = "The name of the dataset, instead of its id.",
}
local DATASET <const> = {
  name = "dataset", value = "ID", required = true, instead = "dataset-name", help = "The id of the dataset.",
}

-- What creates a batch; `default_format` is what it has where nobody says one.
local function creation(default_format)
  return {
    DATASET, DATASET_NAME,
    { name = "format", value = "FORMAT", choices = { "json", "parquet", "csv" },
      help = ("The format of the files; without it %s."):format(default_format) },
    { name = "multiline", help = "JSON files are one array each, not a record a line." },
    { name = "external-id", value = "ID", help = "An id of your own, unique in the organisation." },
    { name = "error-diagnostics", help = "Ask the service to say which rows are bad." },
    PARTIAL,
  }
end

local TRANSFER <const> = {
  { name = "name", value = "NAME", help = "The name in the batch, where there is one file." },
  { name = "relative", help = "Names are the paths as they are given, such as a/x.json; without it their last parts." },
  { name = "parallel", value = "N", kind = "whole", least = 1, most = 1000,
    help = "How many requests are in flight; without it 4." },
  { name = "part-size", value = "SIZE", kind = "size", most = limits.LARGEST_PART,
    help = "The size of the parts of large files, such as 16MiB; without it 64MiB, and 8MiB of pipes." },
  { name = "part-threshold", value = "SIZE", kind = "size", most = limits.LARGEST_PUT,
    help = "Larger files go in parts; without it 256MB." },
}

local WAITING <const> = {
  { name = "timeout", value = "TIME", kind = "time",
    help = "How long to wait for the service to ingest, such as 5m; without it as long as it takes." },
  { name = "allow-failed", value = "N", kind = "whole", default = 0,
    help = "So many rows may be refused; with more the exit code is 3." },
}

-- Of a stream: how much of it is a batch.
local ROLL <const> = {
  { name = "roll-seconds", value = "TIME", kind = "time", help = "A batch is sent after so long, such as 16m." },
  { name = "roll-bytes", value = "SIZE", kind = "size", help = "A batch has at most so much." },
  { name = "roll-files", value = "N", kind = "whole", least = 1, help = "A batch has at most so many files." },
  { name = "roll-records", value = "N", kind = "whole", least = 1, help = "A batch has at most so many records." },
  { name = "file-bytes", value = "SIZE", kind = "size", most = limits.LARGEST_PUT, help = "The size of the files." },
  { name = "record-bytes", value = "SIZE", kind = "size", help = "Longer records are rejected." },
  PARTIAL,
  { name = "after-failure", value = "WHAT", choices = { "continue", "stop" },
    help = "What follows a batch that failed for its data." },
  { name = "parallel", value = "N", kind = "whole", least = 1, most = 1000, help = "How many files go at a time." },
}

-- Of a sink: what it keeps of a stream, and for how long.
local SPOOL <const> = {
  { name = "spool", value = "FOLDER", required = true, completes = "folders",
    help = "Where records are kept until they are in the platform; a directory of this sink's own." },
  { name = "limit-bytes", value = "SIZE", kind = "size", help = "The spool takes so much." },
  { name = "limit-free", value = "SIZE", kind = "size", least = 0,
    help = "The spool leaves so much of its disk free." },
  { name = "sync-seconds", value = "TIME", kind = "time", least = 0,
    help = "What is taken is on disk after so long; 0: at once." },
  { name = "check", help = "Records that do not fit the schema of the dataset are rejected." },
}

-- Which Kafka, and which group of it.
local KAFKA <const> = {
  { name = "brokers", value = "HOST:PORT,...", required = true, help = "The brokers to begin with." },
  { name = "topic", value = "TOPIC", required = true, many = true, help = "A topic; may be repeated." },
  { name = "group", value = "GROUP", required = true, help = "The consumer group." },
  { name = "kafka-file", value = "FILE", completes = "files",
    help = "A file of librdkafka's properties, NAME=VALUE; secrets belong there." },
  { name = "kafka-set", value = "NAME=VALUE", many = true, help = "A property of librdkafka; may be repeated." },
}

-- Of a stream: what changes its records.
local TRANSFORM <const> = {
  { name = "transform", value = "FILE.lua", completes = "files",
    help = "A file that returns a function (record, message): it gives nil, a record, or a list of them." },
}

local LISTEN_TOKEN <const> = {
  name = "listen-token-file", value = "FILE", completes = "files",
  help = "A file with the token that requests need: Authorization: Bearer.",
}

-- What shows how a stream goes.
local METRICS <const> = {
  { name = "metrics-listen", value = "WHERE", kind = "listen",
    help = "ADDRESS:PORT or unix:PATH, where GET /metrics, /ready and /health show how it goes." },
  LISTEN_TOKEN,
}

local function joined(...)
  local all = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #all + 1, all) end
  return all
end

local SINK <const> = joined(SPOOL, ROLL, TRANSFORM)

local FILES <const> = {
  name = "files", value = "FILE", many = true, completes = "files",
  help = "Files to send; - is standard input, JSON lines. Pipes are read, too.",
}

local TAGS <const> = { name = "tags", value = "TAGS", help = "Those with tags, such as name:value,name:val*." }

local LIMIT <const> = {
  { name = "limit", value = "N", kind = "whole", least = 1, help = "So many at the most." },
}

local FAILED_FILES <const> = { name = "failed", help = "The files that were sent, of a batch that failed." }

local function of_batch(name, summary, more)
  local command = more or {}
  command.name, command.summary = name, summary
  command.options = command.options or {}
  command.arguments = joined({ { name = "id", value = "ID", required = true, help = "The id of the batch." } },
    command.arguments or {})
  return command
end

--- The commands, in the order in which help shows them.
options.COMMANDS = {
  {
    name = "ingest", summary = "Create a batch, upload files, complete it, and wait.", arguments = { FILES },
    options = joined(creation "what their endings say", TRANSFER, {
      { name = "dir", value = "FOLDER", completes = "folders", help = "A directory, instead of files." },
      { name = "recursive", help = "What is in the directories below it, too, by names such as a/x.json." },
      { name = "pattern", value = "PATTERN", help = "Which files of the directory, such as '*.json'." },
      { name = "journal", value = "FILE", completes = "files",
        help = "Notes what has been done: the same command again goes on from there." },
      { name = "shard", value = "I/N", kind = "shard",
        help = "Of --dir only the files whose names hash to shard I of N, from 0; implies --adopt." },
      { name = "adopt", help = "Go on with the batch of --external-id, if there is one, with nothing on this disk." },
      { name = "split", help = "Use several batches where one would be too large." },
    }, WAITING),
  },
  { name = "create", summary = "Create a batch.", arguments = {}, options = creation "parquet" },
  of_batch("upload", "Upload files into a batch.", {
    arguments = { {
      name = "files", value = "FILE", many = true, required = true, completes = "files", help = FILES.help,
    } },
    options = joined(TRANSFER, {
      { name = "dataset", value = "ID", instead = "dataset-name",
        help = "The id of the dataset, where the catalog does not know the batch yet." },
      DATASET_NAME,
    }),
  }),
  of_batch("complete", "Say that all files are there: the service begins to ingest them."),
  of_batch("wait", "Wait until a batch is ingested.", { options = WAITING }),
  of_batch("status", "Show what the catalog knows of a batch."),
  of_batch("errors", "Show what the service found wrong with a batch, and the rows it refused.", {
    options = { { name = "rows", help = "The rows alone, a line of JSON for each." } },
  }),
  {
    name = "check", summary = "Check files of JSON against the schema of a dataset, before they are sent.",
    arguments = { {
      name = "files", value = "FILE", many = true, required = true, completes = "files",
      help = "The files, of lines or one array each; - is standard input. CSV and Parquet are not checked.",
    } },
    options = joined({ DATASET, DATASET_NAME }, {
      { name = "format", value = "FORMAT", choices = { "json" },
        help = "json, where the ending of a file says another." },
      { name = "limit", value = "N", kind = "whole", least = 1, default = 100,
        help = "So many problems of a file are shown." },
    }),
  },
  of_batch("resend", "Send the rows of a batch that failed again, mended, as a batch of their own.", {
    options = joined({
      { name = "transform", value = "FILE", completes = "files",
        help = "A file of Lua that returns a function of a row, its errors and its line: it returns the mended row." },
      { name = "whole", help = "Send all of a batch that failed again, as a replacement of it." },
      { name = "again", help = "Also where these rows were sent again before." },
      { name = "no-wait", help = "Do not wait until it is ingested." },
    }, WAITING),
  }),
  {
    name = "batches", summary = "List the batches that fit, the newest first.", arguments = {},
    options = joined({
      { name = "failed", help = "Those that failed." },
      { name = "status", value = "STATE", help = "Those in a state, such as success, or in one of a,b." },
      { name = "since", value = "TIME", kind = "moment",
        help = "Those since then: 24h, 7d, 2026-11-26 or 2026-11-26T08:00:00Z. Without any of these it is 24h." },
      { name = "before", value = "TIME", kind = "moment", help = "Those that were created before then." },
      { name = "dataset", value = "ID", instead = "dataset-name", help = "Those of a dataset." }, DATASET_NAME,
      { name = "external-id", value = "ID", help = "Those with this external id." },
      TAGS,
    }, LIMIT),
  },
  {
    name = "datasets", summary = "List the datasets, the newest first.",
    arguments = { {
      name = "name", value = "NAME", completes = "datasets", help = "Those of this name, in which * is any text.",
    } },
    options = joined({ TAGS }, LIMIT),
  },
  of_batch("files", "List the files that a batch has become.", { options = { FAILED_FILES } }),
  of_batch("download", "Get the files that a batch has become; the same command again goes on.", {
    options = {
      { name = "to", value = "FOLDER", completes = "folders", default = ".", help = "The directory." },
      { name = "overwrite", help = "Replace files that are there." },
      FAILED_FILES,
      { name = "parallel", value = "N", kind = "whole", least = 1, most = 1000,
        help = "How many files come at a time." },
    },
  }),
  {
    name = "preview", summary = "Show the first records of a batch before it is ingested, or of a dataset, as JSON.",
    arguments = { { name = "id", value = "ID", help = "The id of the batch." } },
    options = {
      { name = "dataset", value = "ID", instead = "dataset-name", help = "The id of a dataset, instead of a batch." },
      DATASET_NAME,
      { name = "rows", value = "N", kind = "whole", least = 1, most = 100, default = 5, help = "How many." },
    },
  },
  of_batch("abort", "Give a batch up; nothing of it is ingested."),
  of_batch("revert", "Take an ingested batch back: its data is deleted."),
  {
    name = "sink", summary = "Take records without end, and get them into few batches; nothing is lost.",
    arguments = { {
      name = "files", value = "FILE", many = true, completes = "files",
      help = "Files of JSON lines; each goes on where it was left. Without any it is standard input, as with -.",
    } },
    options = joined({ DATASET, DATASET_NAME }, SINK, {
      { name = "follow", help = "Follow the files by their names, as tail -F does, over rotations." },
      { name = "confirm", help = "Answer OK at the start, and to each line once it is on disk." },
      { name = "wait", help = "At the end of the input, wait until all is in the platform." },
    }, METRICS, WAITING),
  },
  {
    name = "spool", summary = "Show what is in a spool, send a batch that failed again, or print its records.",
    options = {},
    arguments = {
      { name = "action", value = "ACTION", required = true, choices = { "status", "retry", "export" },
        help = "One of these:" },
      { name = "folder", value = "FOLDER", required = true, completes = "folders", help = "The spool." },
      { name = "number", value = "N", kind = "whole", least = 1,
        help = "The number of a batch, for retry and export; export without it: all that waits." },
    },
  },
  {
    name = "serve", summary = "Take records by HTTP, and get them into batches.", arguments = {},
    options = joined({
      { name = "dataset", value = "ID[=NAME]", kind = "dataset", required = true, many = true,
        instead = "dataset-name",
        help = "The id of the dataset; with a name its records go to /NAME, and others may follow." },
      { name = "dataset-name", value = "NAME[=PATH]", kind = "dataset", many = true, completes = "datasets",
        help = "The name of a dataset, instead of its id; with a path its records go to /PATH." },
    }, SINK, {
      { name = "listen", value = "WHERE", kind = "listen", required = true,
        help = "ADDRESS:PORT, or unix:PATH, or fd: the socket that systemd has opened." },
      LISTEN_TOKEN,
      { name = "body-bytes", value = "SIZE", kind = "size", default = 67108864, most = 1 << 30,
        help = "The largest body, decoded." },
    }),
  },
  {
    name = "drain", summary = "Read topics of Kafka into batches, each record exactly once, on any number of machines.",
    arguments = {},
    options = joined({ DATASET, DATASET_NAME }, KAFKA, ROLL, TRANSFORM, {
      { name = "from", value = "WHERE", choices = { "beginning", "end" },
        help = "Where a group starts that has committed nothing yet." },
      { name = "raw", help = "The transform gets values as they are, which need not be JSON." },
      { name = "rejected-topic", value = "TOPIC",
        help = "Where rejected messages go, and rows that the service has refused, with the reason." },
      { name = "rejected", value = "FOLDER", completes = "folders", help = "The same, into files." },
      { name = "allow-failed", value = "N", kind = "whole", default = 0,
        help = "So many rejected messages, refused rows and failed batches leave the exit code 0." },
    }, METRICS),
  },
  {
    name = "group", summary = "Show how far a group of drains is, or decide by hand where it goes on.",
    options = KAFKA,
    arguments = {
      { name = "action", value = "ACTION", required = true, choices = { "status", "resolve" }, help = "One of these:" },
      { name = "choices", value = "TOPIC/N=WHAT", many = true,
        help = "For resolve, with the group empty: =done, =again, or an offset." },
    },
  },
  {
    name = "emulator", summary = "Run a local emulator of the service until Ctrl-C.", arguments = {}, options = {
      { name = "port", value = "PORT", kind = "whole", most = 65535, default = 8080, help = "The port." },
      { name = "data-dir", value = "FOLDER", completes = "folders", help = "Where batches and files are kept." },
      { name = "dataset", value = "ID[=NAME]", kind = "dataset", many = true,
        help = "A data set that is known; may be repeated. Without it any is." },
      { name = "schema", value = "FILE", completes = "files",
        help = "A JSON schema with its $id, which the data sets have: rows are held against it." },
    },
  },
  {
    name = "completion", summary = "Print what makes a shell complete this program's words.", options = {},
    arguments = {
      { name = "shell", value = "SHELL", choices = { "bash", "zsh" }, required = true, help = "bash or zsh." },
    },
  },
  {
    name = "help", summary = "Show how a command is used.", options = {},
    arguments = { { name = "topic", value = "COMMAND", help = "The command." } },
  },
}

--- A command.
-- @tparam string name
-- @treturn ?table nil: there is none of this name
function options.command(name)
  for _, command in ipairs(options.COMMANDS) do
    if command.name == name then return command end
  end
end

--- The name of an option in a table of Lua's.
-- @tparam table option
-- @treturn string `part_size` of `--part-size`
function options.field(option) return (option.name:gsub("-", "_")) end

return options
