"use strict";
// 3-D views of the page. One WebGL context draws for all of them and copies into the canvas of each, because
// browsers allow only a dozen contexts; a view costs nothing before somebody opens it.
(() => {
  const VERTEX = `#version 300 es
    in vec3 position; in vec3 normal; in vec2 uv;
    uniform mat4 projection; uniform mat4 view;
    out vec3 direction; out vec3 place; out vec2 texel;
    void main() {
      vec4 seen = view * vec4(position, 1.0);
      place = seen.xyz;
      direction = mat3(view) * normal;
      texel = vec2(uv.x, 1.0 - uv.y);  // the first row of a texture is v = 1
      gl_Position = projection * seen;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 direction; in vec3 place; in vec2 texel;
    uniform sampler2D photo; uniform bool textured;
    out vec4 color;
    void main() {
      vec3 n = normalize(direction);
      bool inner = dot(n, place) > 0.0;
      if (inner) n = -n;
      float key = max(dot(n, normalize(vec3(-0.45, 0.55, 0.7))), 0.0);
      float fill = max(dot(n, normalize(vec3(0.7, 0.1, 0.5))), 0.0);
      float head = max(n.z, 0.0);
      // The photo's own light is in the texture: a little shading is enough to show the form.
      vec3 lit = textured ? texture(photo, texel).rgb * (0.46 + 0.30 * key + 0.24 * head)
                          : vec3(0.80, 0.81, 0.83) * (0.10 + 0.58 * key + 0.20 * fill + 0.18 * head);
      color = vec4(lit * (inner ? 0.45 : 1.0), 1.0);
    }`;
  const BACKDROP = [32 / 255, 37 / 255, 46 / 255, 1];
  const START = { yaw: 0.42, pitch: 0.04, distance: 1.0 };
  const FIELD = 0.32;  // tangent of half the field of view
  let shared = null;

  function context() {
    if (shared) return shared;
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: false });
    if (!gl) throw new Error("this browser has no WebGL 2");
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
        throw new Error(gl.getShaderInfoLog(shader));
      }
      gl.attachShader(program, shader);
    }
    ["position", "normal", "uv"].forEach((name, index) => gl.bindAttribLocation(program, index, name));
    gl.linkProgram(program);
    const uniforms = {};
    for (const name of ["projection", "view", "photo", "textured"]) {
      uniforms[name] = gl.getUniformLocation(program, name);
    }
    shared = { canvas, gl, program, uniforms };
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      shared = null;
      viewers.forEach((viewer) => viewer.forget());
    });
    return shared;
  }

  function bytesOf(name) {
    const text = atob(document.getElementById(name).textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  async function unpacked(name) {
    const stream = new Blob([bytesOf(name)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // Positions centred on the middle of the box, in units of half its height.
  function placed(raw, mesh) {
    const size = mesh.high.map((value, axis) => value - mesh.low[axis]);
    const unit = Math.max(...size) / 2;
    const positions = new Float32Array(raw.length);
    for (let i = 0; i < raw.length; i++) {
      positions[i] = ((raw[i] / 65535 - 0.5) * size[i % 3]) / unit;
    }
    return positions;
  }

  // Area-weighted normals; vertices that a seam of the texture split share theirs, so that no seam shows.
  function normalsOf(positions, raw, triangles) {
    const first = new Map();
    const owner = new Uint32Array(raw.length / 3);
    for (let v = 0; v < owner.length; v++) {
      const key = (raw[3 * v] * 65536 + raw[3 * v + 1]) * 65536 + raw[3 * v + 2];
      if (!first.has(key)) first.set(key, v);
      owner[v] = first.get(key);
    }
    const sums = new Float32Array(raw.length);
    for (let t = 0; t < triangles.length; t += 3) {
      const [a, b, c] = [3 * triangles[t], 3 * triangles[t + 1], 3 * triangles[t + 2]];
      const ux = positions[b] - positions[a], uy = positions[b + 1] - positions[a + 1], uz = positions[b + 2] - positions[a + 2];
      const vx = positions[c] - positions[a], vy = positions[c + 1] - positions[a + 1], vz = positions[c + 2] - positions[a + 2];
      const n = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (let corner = 0; corner < 3; corner++) {
        const at = 3 * owner[triangles[t + corner]];
        for (let axis = 0; axis < 3; axis++) sums[at + axis] += n[axis];
      }
    }
    const normals = new Float32Array(raw.length);
    for (let v = 0; v < owner.length; v++) {
      const at = 3 * owner[v];
      const length = Math.hypot(sums[at], sums[at + 1], sums[at + 2]) || 1;
      for (let axis = 0; axis < 3; axis++) normals[3 * v + axis] = sums[at + axis] / length;
    }
    return normals;
  }

  class Viewer {
    constructor(figure) {
      this.figure = figure;
      this.mesh = JSON.parse(figure.dataset.mesh);
      this.canvas = figure.querySelector("canvas");
      this.start = figure.querySelector(".start");
      this.tools = figure.querySelector(".tools");
      this.message = figure.querySelector(".message");
      this.textured = "texture" in this.mesh;
      this.pose = { ...START };
      this.pointers = new Map();
      this.start.addEventListener("click", () => this.open());
    }

    async open() {
      this.start.hidden = true;
      this.message.textContent = "loading …";
      try {
        await this.load();
      } catch (error) {
        this.start.hidden = false;
        this.message.textContent = `The 3-D view cannot be shown: ${error.message}.`;
        return;
      }
      this.message.textContent = "drag to turn, pinch to zoom";
      this.canvas.hidden = false;
      this.tools.hidden = false;
      this.listen();
      this.canvas.focus({ preventScroll: true });
      this.draw();
      this.figure.dataset.state = "open";
    }

    async load() {
      const { mesh } = this;
      const [positions, triangles, uv] = await Promise.all(
        ["positions", "triangles", "uv"].map((name) => (mesh[name] ? unpacked(mesh[name]) : null)));
      const raw = new Uint16Array(positions);
      this.triangles = mesh.wide ? new Uint32Array(triangles) : new Uint16Array(triangles);
      this.positions = placed(raw, mesh);
      this.normals = normalsOf(this.positions, raw, this.triangles);
      this.uv = uv ? new Uint16Array(uv) : new Uint16Array((raw.length / 3) * 2);
      this.picture = mesh.texture ? await createImageBitmap(new Blob([bytesOf(mesh.texture)], { type: "image/jpeg" })) : null;
      this.upload();
    }

    upload() {
      const { gl } = context();
      this.array = gl.createVertexArray();
      gl.bindVertexArray(this.array);
      [[this.positions, 3, gl.FLOAT, false], [this.normals, 3, gl.FLOAT, false], [this.uv, 2, gl.UNSIGNED_SHORT, true]]
        .forEach(([values, width, type, normalized], index) => {
          gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
          gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
          gl.enableVertexAttribArray(index);
          gl.vertexAttribPointer(index, width, type, normalized, 0, 0);
        });
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.triangles, gl.STATIC_DRAW);
      gl.bindVertexArray(null);
      if (this.picture) {
        this.texture = gl.createTexture();
        gl.bindTexture(gl.TEXTURE_2D, this.texture);
        gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, this.picture);
        gl.generateMipmap(gl.TEXTURE_2D);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
      }
    }

    forget() {
      if (!this.array) return;
      this.array = null;  // what the lost context held is gone; the next drawing uploads it again
      this.request();
    }

    listen() {
      if (this.listening) return;
      this.listening = true;
      const canvas = this.canvas;
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      });
      canvas.addEventListener("pointermove", (event) => this.move(event));
      for (const kind of ["pointerup", "pointercancel"]) {
        canvas.addEventListener(kind, (event) => this.pointers.delete(event.pointerId));
      }
      canvas.addEventListener("wheel", (event) => {
        if (document.activeElement !== canvas) return;  // scrolling past a view must not get stuck in it
        event.preventDefault();
        this.zoom(Math.exp(event.deltaY * 0.001));
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => this.key(event));
      this.tools.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button) this.act(button);
      });
      new ResizeObserver(() => this.request()).observe(canvas);
      const toggle = this.tools.querySelector("[data-action=texture]");
      toggle.hidden = !this.picture;
    }

    move(event) {
      const before = this.pointers.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY];
      if (this.pointers.size === 1) {
        this.turn((now[0] - before[0]) * 0.009, (now[1] - before[1]) * 0.009);
      } else {
        const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
        const span = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
        this.zoom(span(before) / span(now));
      }
      this.pointers.set(event.pointerId, now);
    }

    key(event) {
      const step = 0.12;
      const actions = {
        ArrowLeft: () => this.turn(-step, 0), ArrowRight: () => this.turn(step, 0),
        ArrowUp: () => this.turn(0, -step), ArrowDown: () => this.turn(0, step),
        "+": () => this.zoom(0.9), "=": () => this.zoom(0.9), "-": () => this.zoom(1.1),
        Home: () => this.reset(),
      };
      if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      actions[event.key]();
    }

    act(button) {
      const actions = { nearer: () => this.zoom(0.85), farther: () => this.zoom(1.18), reset: () => this.reset() };
      if (button.dataset.action === "texture") {
        this.textured = !this.textured;
        button.setAttribute("aria-pressed", String(this.textured));
        this.request();
      } else actions[button.dataset.action]();
    }

    turn(yaw, pitch) {
      this.pose.yaw += yaw;
      this.pose.pitch = Math.min(1.5, Math.max(-1.5, this.pose.pitch + pitch));
      this.request();
    }

    zoom(factor) {
      this.pose.distance = Math.min(2.5, Math.max(0.3, this.pose.distance * factor));
      this.request();
    }

    reset() {
      this.pose = { ...START };
      this.request();
    }

    request() {
      if (this.waiting || this.canvas.hidden) return;
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.draw();
      });
    }

    draw() {
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
      const height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
      const { canvas, gl, program, uniforms } = context();
      if (gl.isContextLost()) return;
      if (!this.array) this.upload();
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      gl.viewport(0, 0, width, height);
      gl.enable(gl.DEPTH_TEST);
      gl.clearColor(...BACKDROP);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.useProgram(program);
      gl.uniformMatrix4fv(uniforms.projection, false, this.projection(width / height));
      gl.uniformMatrix4fv(uniforms.view, false, this.view());
      const textured = this.textured && Boolean(this.picture);
      gl.uniform1i(uniforms.textured, textured ? 1 : 0);
      if (textured) gl.bindTexture(gl.TEXTURE_2D, this.texture);
      gl.bindVertexArray(this.array);
      const kind = this.mesh.wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT;
      gl.drawElements(gl.TRIANGLES, this.triangles.length, kind, 0);
      gl.bindVertexArray(null);
      // The drawing lives until this task ends, so it is copied at once.
      [this.canvas.width, this.canvas.height] = [width, height];
      this.canvas.getContext("2d").drawImage(canvas, 0, 0);
    }

    projection(aspect) {
      const [near, far] = [0.2, 20];
      const wide = FIELD * Math.max(aspect, 1), high = FIELD * Math.max(1 / aspect, 1);
      return [1 / wide, 0, 0, 0, 0, 1 / high, 0, 0,
        0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0];
    }

    view() {
      const { yaw, pitch, distance } = this.pose;
      const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
      return [cy, sp * sy, -cp * sy, 0, 0, cp, sp, 0, sy, -sp * cy, cp * cy, 0, 0, 0, -3.6 * distance, 1];
    }
  }

  const viewers = [...document.querySelectorAll(".viewer")].map((figure) => new Viewer(figure));
})();
