--- Profile records as people send them: XDM-like, nested, about a kilobyte each as JSON.
-- The same seed gives the same records.
local first_names = {
  "Anna", "Ben", "Carla", "David", "Elena", "Felix", "Grace", "Hugo", "Inês", "Jonas",
  "Karen", "Liam", "María", "Noah", "Olivia", "Paul", "Renée", "Sofia", "Tom", "Zoë",
}
local last_names = {
  "Andersson", "Brown", "Costa", "Dubois", "Evans", "Fischer", "García", "Hansen", "Ivanov", "Jones",
  "Kowalski", "López", "Müller", "Novák", "O'Neil", "Petrov", "Rossi", "Smith", "Taylor", "Yılmaz",
}
local streets = { "Main Street", "Station Road", "Church Lane", "Park Avenue", "Mill Road", "High Street" }
local cities = {
  { "Berlin", "DE", 52.520008, 13.404954 },
  { "Lyon", "FR", 45.763420, 4.834277 },
  { "Porto", "PT", 41.157944, -8.629105 },
  { "Denver", "US", 39.739236, -104.984862 },
  { "Kraków", "PL", 50.064650, 19.944980 },
  { "Osaka", "JP", 34.693738, 135.502165 },
}
local interests = {
  "hiking", "cooking", "travel/europe", "photography", "running", "home & garden", "music", "cycling", "books",
}
local tiers = { "bronze", "silver", "gold", "platinum" }

local function any(list)
  return list[math.random(#list)]
end

local function chance(share)
  return math.random() < share
end

local function date(first, last)
  return string.format("%04d-%02d-%02d", math.random(first, last), math.random(12), math.random(28))
end

local function instant(first, last)
  return string.format("%sT%02d:%02d:%02dZ", date(first, last),
    math.random(0, 23), math.random(0, 59), math.random(0, 59))
end

-- Six digits after the point, as geocoders give them.
local function near(degrees)
  return math.floor((degrees + math.random() * 0.2 - 0.1) * 1e6) / 1e6
end

local function id()
  return string.format("%08x-%04x-4%03x-%04x-%012x", math.random(0, 0xffffffff), math.random(0, 0xffff),
    math.random(0, 0xfff), math.random(0x8000, 0xbfff), math.random(0, 0xffffffffffff))
end

local function some(list)
  local picked = {}
  for i = 1, math.random(5) do
    picked[i] = any(list)
  end
  return picked
end

local function address()
  local city = any(cities)
  return {
    street1 = math.random(200) .. " " .. any(streets),
    city = city[1],
    postalCode = string.format("%05d", math.random(99999)),
    countryCode = city[2],
    primary = true,
    _schema = { latitude = near(city[3]), longitude = near(city[4]) },
  }
end

local function orders()
  local list = {}
  for i = 1, math.random(3) do
    list[i] = {
      orderID = string.format("PO-%08d", math.random(99999999)),
      placed = instant(2022, 2024),
      items = math.random(12),
      total = math.random(100, 50000) / 100,
      currencyCode = "EUR",
      returned = chance(0.1),
    }
  end
  return list
end

local function profile(number)
  local first, last = any(first_names), any(last_names)
  local email = string.format("customer%06d@example.com", number)
  local customer = id()
  return {
    _id = customer,
    person = {
      name = { firstName = first, lastName = last, fullName = first .. " " .. last },
      birthDate = date(1940, 2005),
      gender = chance(0.5) and "female" or "male",
    },
    personalEmail = { address = email, primary = true, status = "active" },
    mobilePhone = { number = string.format("+49 170 %07d", math.random(9999999)), primary = chance(0.8) },
    homeAddress = address(),
    identityMap = {
      Email = { { id = email, primary = false, authenticatedState = "ambiguous" } },
      CRMID = { { id = customer, primary = true, authenticatedState = "authenticated" } },
    },
    loyalty = {
      tier = any(tiers),
      points = math.random(0, 250000),
      lifetimePoints = math.random(250000, 9000000),
      joinDate = instant(2015, 2021),
    },
    consents = {
      share = chance(0.3),
      personalize = chance(0.7),
      marketing = { email = chance(0.6), sms = chance(0.2), push = chance(0.4), preferred = "email" },
    },
    interests = some(interests),
    orders = orders(),
    score = math.random(),
    lastUpdated = math.random(1700000000000, 1730000000000),
  }
end

--- Makes records.
-- @tparam integer count
-- @tparam integer seed
-- @treturn {table,...}
local function profiles(count, seed)
  local list = {}
  math.randomseed(seed)
  for i = 1, count do
    list[i] = profile(i)
  end
  return list
end

return profiles
