// While a page is being made that takes long; then it stands at this same address.

import * as api from "./api.js";
import { $, attempt, progress } from "./dom.js";

if (await attempt(() => api.drawn(location.pathname, progress))) location.reload();
$("#progress").hidden = true;
