// While the map is being drawn; then it stands at this same address.

import * as api from "./api.js";
import { $, attempt, progress } from "./dom.js";

if (await attempt(() => api.map(progress))) location.reload();
$("#progress").hidden = true;
