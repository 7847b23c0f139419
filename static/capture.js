/*! Clickledger, MIT OR Apache-2.0 */
{
let t = f=>{ try { return f() } catch {} },
d = document,
o = (d.currentScript || d).dataset || {},
p = o.parameter || "click_id",
k = "cl_" + p,
m = o.days * 864e5 || 2592e6,
l = t(()=>localStorage) || {},
v = new URLSearchParams(location.search + location.hash.replace(/#([^?=]*\?)?/, "&")).getAll(p)
 .find(x=>/^(?!([{[<#%$].*[}\]>#%$]|REPLACE)$).{1,256}$/.test(x)),
c = ()=>t(()=>decodeURIComponent(`; ${d.cookie}`.split(`; ${p}=`)[1].split(";")[0])),
id = ()=>parseInt(l[k]) > Date.now() && l[k].slice(14) || c() || v || "",
fill = ()=>d.querySelectorAll("input[name=click_id],[data-clickledger]").forEach(e=>e.value = id() || e.value)
if (v) {
 t(()=>d.cookie = `${p}=${encodeURIComponent(v)};path=/;samesite=lax;max-age=${m / 1e3};domain=${o.domain || ""}${/^https/.test(location) ? ";secure" : ""}`)
 t(()=>c() == v ? delete l[k] : l[k] = Date.now() + m + " " + v)
}
self.clickledger = { id }
addEventListener("load", fill)
addEventListener("submit", fill, true)
fill()
}
